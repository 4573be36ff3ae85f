import * as l10n from '@vscode/l10n';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isGoneError } from '../common/files.js';
import type { JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { isError, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { readJsonObject } from '../models/boundedJson.js';
import { readSafetensorsHeader } from '../models/safetensors.js';
import { elementCount } from '../models/tensorSpans.js';
import { readSetup } from './readSetup.js';
import { diagnose, formOf } from './faults/diagnose.js';
import { irregularities } from './findIrregular.js';
import { changedBaseStart } from './converting/originalBase.js';
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  HUB_RECORD,
  MAX_CONFIG_BYTES,
  weightsMissing,
  weightsName,
} from './adapterFiles.js';

/** An adapter's folder as a list shows it: read from its config and the header of its weights alone. */
export interface FoundAdapter {
  readonly kind: 'adapter';
  /** Absolute. */
  readonly folder: string;
  /** `adapters`: the AdapterHub library's. Undefined where the config cannot be read. */
  readonly format: 'peft' | 'adapters' | undefined;
  /** As the config names it, in small letters: `lora`, `prompt_tuning`, `seq_bn`. */
  readonly method: string | undefined;
  /** The base model, as the config names it. */
  readonly base: string | undefined;
  readonly rank: number | undefined;
  readonly alpha: number | undefined;
  /** The start that took a part of the base away, in a LoRA that was saved without it: `pissa` (`init_lora_weights`). */
  readonly start?: string;
  /** It scales whole weights, too (`use_dora`): what it changes is no sum with what others change. */
  readonly dora?: true;
  /** Numbers in its weights, or bits of its masks. */
  readonly trainable: number | undefined;
  /** Of all its files. */
  readonly bytes: number;
  /** When its config or weights were last written, in milliseconds since the epoch. */
  readonly modified: number;
  /** Modules that it changes, with the width of what goes into them where that is known. */
  readonly modules: readonly FoundModule[];
  /** What keeps it from being used though its files can be read, in sentences. */
  readonly faults: readonly string[];
  /** The files alone say how that can be mended. */
  readonly repairable?: true;
  /** What differs between its layers, in sentences; PEFT's status functions call such a state "irregular". */
  readonly irregular: readonly string[];
  /** It is a mixture of others, and the search for it is recorded beside it. */
  readonly mixture?: true;
  /** Why it cannot be used. */
  readonly problem?: Problem;
}

/** A module that an adapter changes. */
export interface FoundModule {
  /** `model.layers.0.self_attn.q_proj` */
  readonly path: string;
  readonly rank: number;
  /** [r, in] */
  readonly a: readonly number[];
  /** [out, r] */
  readonly b: readonly number[];
}

/**
 * What a folder with an `adapter_config.json` holds, whoever wrote it. Nothing is thrown: what cannot be read says
 * why in `problem`. Undefined: there is no such file (any more).
 */
export async function findAdapter(folder: string): Promise<FoundAdapter | undefined> {
  const configFile = path.join(folder, ADAPTER_CONFIG);
  const nothing = {
    kind: 'adapter' as const,
    folder,
    format: undefined,
    method: undefined,
    base: undefined,
    rank: undefined,
    alpha: undefined,
    trainable: undefined,
    bytes: 0,
    modified: 0,
    modules: [],
    faults: [],
    irregular: [],
  };
  let files: Files;
  try {
    files = await filesIn(folder);
  } catch (error) {
    return isGoneError(error) ? undefined : { ...nothing, problem: problemOf(error) };
  }
  if (!files.names.includes(ADAPTER_CONFIG)) return undefined;
  const { bytes, modified } = files;
  let config: JsonObject;
  try {
    config = await readJsonObject(configFile, { code: 'adapter.config', maxBytes: MAX_CONFIG_BYTES });
  } catch (error) {
    return { ...nothing, bytes, modified, problem: problemOf(error) };
  }
  const named = { ...nothing, ...describeConfig(config), bytes, modified };
  try {
    const own = [ADAPTER_WEIGHTS, weightsName('adapters')].filter((name) => files.names.includes(name));
    const parts = (await readSetup(folder))?.weights ?? [];
    const weights = [...own.slice(0, 1).map((name) => path.join(folder, name)), ...parts];
    if (weights.length === 0) return { ...named, problem: weightsMissing(folder, files.names) };
    const headers = await Promise.all(weights.map(readSafetensorsHeader));
    const found = formOf(config, new Map(headers.flatMap((header) => [...header.tensors])));
    const { faults, mended } = diagnose(found, { configFile, weightsFile: weights[0]! });
    const errors = faults.filter(({ problem }) => isError(problem));
    const { tensors } = mended;
    const modules = lowRankModules(tensors);
    return {
      ...nothing,
      // What its files alone say how to mend is a fault: the rest can be told.
      ...describeConfig(mended.config),
      bytes,
      modified,
      faults: errors.map(({ problem }) => problem.message),
      ...(errors.length > 0 && errors.every(({ repair }) => repair !== undefined)
        ? { repairable: true as const }
        : {}),
      trainable: [...tensors].reduce((sum, [key, { dtype, shape }]) => sum + numbersOf(key, dtype, shape), 0),
      modules,
      irregular: irregularities(modules, tensors.keys(), mended.config),
      ...(files.names.includes(HUB_RECORD) ? { mixture: true as const } : {}),
    };
  } catch (error) {
    return { ...named, problem: problemOf(error) };
  }
}

/** What trains of a tensor: places say where the values beside them lie; a learned mask holds 32 bits in a word. */
function numbersOf(key: string, dtype: string, shape: readonly number[]): number {
  if (dtype === 'I32' && key.endsWith('.indices')) return 0;
  const count = elementCount(shape) ?? 0;
  return dtype === 'I32' && key.endsWith('.mask') ? 32 * count : count;
}

interface Files {
  readonly names: readonly string[];
  readonly bytes: number;
  readonly modified: number;
}

async function filesIn(folder: string): Promise<Files> {
  const names = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map(({ name }) => name);
  let [bytes, modified] = [0, 0];
  for (const name of names) {
    try {
      const { size, mtimeMs } = await stat(path.join(folder, name));
      bytes += size;
      if (name === ADAPTER_CONFIG || name.endsWith('.safetensors')) modified = Math.max(modified, mtimeMs);
    } catch (error) {
      // Removed meanwhile, or a link to nothing: it has no size.
      if (!isGoneError(error)) throw error;
    }
  }
  return { names, bytes, modified };
}

/** What either library's config says. */
function describeConfig(
  config: JsonObject,
): Pick<FoundAdapter, 'format' | 'method' | 'base' | 'rank' | 'alpha' | 'start' | 'dora' | 'problem'> {
  const peftType = text(config['peft_type']);
  if (peftType !== undefined) {
    const start = changedBaseStart({ peftType, config });
    return {
      format: 'peft',
      // MoRA's is a LoRA's config that says so.
      method: peftType === 'LORA' && config['use_mora'] === true ? 'mora' : peftType.toLowerCase(),
      base: text(config['base_model_name_or_path']),
      // AdaLoRA starts above its target; MELoRA's mini LoRAs add up; other methods have virtual tokens, which are no rank.
      rank: number(config['target_r']) ?? number(config['r']) ?? total(config['r']),
      alpha: number(config['lora_alpha']),
      ...(start === undefined ? {} : { start }),
      ...(config['use_dora'] === true ? { dora: true } : {}),
    };
  }
  const inner = config['config'];
  const model = text(config['model_name']);
  if (isJsonObject(inner) || (text(inner) !== undefined && model !== undefined)) {
    const options = isJsonObject(inner) ? inner : {};
    return {
      format: 'adapters',
      method: text(options['architecture']) ?? text(inner) ?? 'bottleneck',
      base: model,
      rank: number(options['r']),
      alpha: number(options['alpha']),
    };
  }
  return {
    format: undefined,
    method: undefined,
    base: undefined,
    rank: undefined,
    alpha: undefined,
    problem: {
      code: 'adapter.peft-type',
      message: l10n.t`the config names no method`,
      expected: l10n.t`peft_type, as Hugging Face PEFT writes it, or the config of the adapters library`,
      mend: l10n.t`The file is of another tool, or damaged: export the adapter again.`,
    },
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function total(value: unknown): number | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const numbers = value.map(number);
  return numbers.reduce((sum, each) => (sum === undefined || each === undefined ? undefined : sum + each));
}

const HALF = /^(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?$/;

/** Modules of which both halves are there, in the order of the file. */
function lowRankModules(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): FoundModule[] {
  const halves = new Map<string, { A?: readonly number[]; B?: readonly number[] }>();
  for (const [key, { shape }] of tensors) {
    const [, modulePath, half] = HALF.exec(key) ?? [];
    if (modulePath === undefined) continue;
    halves.set(modulePath, { ...halves.get(modulePath), [half === 'A' ? 'A' : 'B']: shape });
  }
  return [...halves].flatMap(([modulePath, { A: a, B: b }]) =>
    a?.length === 2 && b?.length === 2 ? [{ path: modulePath, rank: a[0] ?? 0, a, b }] : [],
  );
}
