import path from 'node:path';
import { problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { lowRankNorm } from '../linalg/products.js';
import { loraConfigFromPeft } from '../methods/loraConfig.js';
import type { LoraOptions } from '../methods/lora.js';
import { matchesAny, patternValue } from '../methods/targets.js';
import { elementCount } from '../models/tensorSpans.js';
import type { AdapterOnDisk } from './readAdapter.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, readAdapter } from './readAdapter.js';

/** One adapted module. */
export interface InspectedModule {
  /** `model.layers.0.self_attn.q_proj` */
  readonly path: string;
  /** As A has it. */
  readonly rank: number;
  /** s of ΔW = s·B·A; undefined where the config could not be read. */
  readonly scale: number | undefined;
  /** [r, in]; embedding [r, vocabulary] */
  readonly a: readonly number[];
  /** [out, r] */
  readonly b: readonly number[];
  readonly trainable: number;
  /** ‖ΔW‖ (Frobenius). */
  readonly norm: number | undefined;
}

export interface Inspection {
  readonly folder: string;
  readonly method: string;
  readonly base: string | undefined;
  readonly r: number | undefined;
  readonly alpha: number | undefined;
  readonly modules: readonly InspectedModule[];
  /** Parameters of the base that trained whole (`modules_to_save`, biases), by their key. */
  readonly whole: readonly {
    readonly key: string;
    readonly shape: readonly number[];
    readonly trainable: number;
  }[];
  /** Numbers that were trained: modules and whole parameters. */
  readonly trainable: number;
  readonly tensors: number;
  readonly problems: readonly Problem[];
}

/**
 * What an adapter folder holds, without its base model. What is wrong with its content is reported in `problems`.
 *
 * @throws ProblemError where the folder or its files cannot be read at all (see {@link readAdapter})
 */
export async function inspectAdapter(folder: string): Promise<Inspection> {
  const adapter = await readAdapter(folder);
  const problems: Problem[] = [];
  const options = readOptions(adapter, problems);
  const report = reporter(adapter, problems);
  await checkFinite(adapter, report);
  const { pairs, rest } = pairUp(adapter, report);
  const modules: InspectedModule[] = [];
  for (const pair of pairs) modules.push(await inspectPair(adapter, pair, options, report));
  const untrained = modules.filter(({ norm }) => norm === 0);
  if (untrained.length > 0) {
    report('adapter.untrained', {
      message: `${untrained.length === modules.length ? 'every module has' : `${untrained.length} of ${modules.length} modules have`} ΔW = 0 (such as ${untrained[0]!.path}): never trained`,
      mend: 'No gradient reached them, or the file was written before the first step: look at the run that made it.',
    });
  }
  const whole = rest.filter((key) => isWhole(key, options)).map((key) => ({ key, ...sizeOf(adapter, key) }));
  const unknown = rest.filter((key) => !isWhole(key, options) && !isBaseCopy(key));
  if (unknown.length > 0) {
    report('adapter.unknown-tensors', {
      message: `${unknown.length} tensors belong to nothing that the config names: ${listed(unknown)}`,
      mend: 'The adapter was made by another method or another version: load it where it was made.',
    });
  }
  return {
    folder: adapter.folder,
    method: adapter.peftType.toLowerCase(),
    base: adapter.baseModel,
    r: options?.r ?? numberIn(adapter, 'r'),
    alpha: options?.lora_alpha ?? numberIn(adapter, 'lora_alpha'),
    modules,
    whole,
    trainable: [...modules, ...whole].reduce((sum, each) => sum + each.trainable, 0),
    tensors: adapter.tensors.size,
    problems,
  };
}

type Report = (code: string, problem: Omit<Problem, 'code' | 'severity' | 'where'>) => void;

interface Pair {
  readonly path: string;
  readonly a: string;
  readonly b: string;
}

const PREFIX = 'base_model.model.';
const LOW_RANK = /^(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?$/;

function reporter(adapter: AdapterOnDisk, problems: Problem[]): Report {
  const file = path.join(adapter.folder, ADAPTER_WEIGHTS);
  return (code, problem) => problems.push({ code, severity: 'error', where: { file }, ...problem });
}

function readOptions(adapter: AdapterOnDisk, problems: Problem[]): LoraOptions | undefined {
  try {
    const { options, warnings } = loraConfigFromPeft(adapter.config, path.join(adapter.folder, ADAPTER_CONFIG));
    problems.push(...warnings);
    return options;
  } catch (error) {
    problems.push(problemOf(error));
    return undefined;
  }
}

/** What the config says where its options as a whole are not supported. */
function numberIn({ config }: AdapterOnDisk, key: string): number | undefined {
  const value = config[key];
  return typeof value === 'number' ? value : undefined;
}

async function checkFinite(adapter: AdapterOnDisk, report: Report): Promise<void> {
  for (const name of adapter.tensors.keys()) {
    const values = await adapter.read(name);
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at < 0) continue;
    report('adapter.non-finite', {
      message: `${name} holds ${values[at]} at position ${at}`,
      mend: 'The run that made it diverged: use an earlier checkpoint.',
    });
  }
}

/** A and B of each module; a single one is reported. */
function pairUp(adapter: AdapterOnDisk, report: Report): { pairs: Pair[]; rest: string[] } {
  const halves = new Map<string, { A?: string; B?: string }>();
  const rest: string[] = [];
  for (const key of adapter.tensors.keys()) {
    const [, modulePath, half] = LOW_RANK.exec(key) ?? [];
    if (modulePath === undefined) rest.push(key);
    else halves.set(modulePath, { ...halves.get(modulePath), [half === 'A' ? 'A' : 'B']: key });
  }
  const pairs: Pair[] = [];
  for (const [modulePath, { A: a, B: b }] of halves) {
    if (a !== undefined && b !== undefined) pairs.push({ path: modulePath, a, b });
    else {
      report('adapter.missing-pair', {
        message: `${modulePath} has ${a === undefined ? 'B without A' : 'A without B'}`,
        expected: 'lora_A and lora_B of every adapted module',
        mend: 'The file is incomplete: export the adapter again.',
      });
    }
  }
  return { pairs, rest };
}

async function inspectPair(
  adapter: AdapterOnDisk,
  pair: Pair,
  options: LoraOptions | undefined,
  report: Report,
): Promise<InspectedModule> {
  const [a, b] = [adapter.tensors.get(pair.a)!.shape, adapter.tensors.get(pair.b)!.shape];
  const rank = a[0] ?? 0;
  const fits = a.length === 2 && b.length === 2 && a[0] === b[1] && rank > 0;
  if (!fits) {
    report('adapter.shape', {
      message: `${pair.path}: A is [${a.join(', ')}] and B is [${b.join(', ')}]`,
      expected: 'A [r, in] and B [out, r]',
    });
  }
  const wanted = options && (patternValue(options.rank_pattern, pair.path) ?? options.r);
  if (wanted !== undefined && wanted !== rank) {
    report('adapter.rank', {
      message: `${pair.path} has rank ${rank}, the config says ${wanted}`,
      mend: 'Config and weights belong to different adapters, or rank_pattern lacks an entry.',
    });
  }
  const scale = options && fits ? scaleOf(options, pair.path, rank) : undefined;
  const norm =
    scale === undefined
      ? undefined
      : Math.abs(scale) * lowRankNorm(await adapter.read(pair.b), await adapter.read(pair.a), rank);
  const trainable = sizeOf(adapter, pair.a).trainable + sizeOf(adapter, pair.b).trainable;
  return { path: pair.path, rank, scale, a, b, trainable, norm };
}

/** lora_alpha / r (Hu et al. 2021), or lora_alpha / √r (Kalajdzievski 2023, eq. 3). */
function scaleOf(options: LoraOptions, modulePath: string, rank: number): number {
  const alpha = patternValue(options.alpha_pattern, modulePath) ?? options.lora_alpha;
  return alpha / (options.use_rslora ? Math.sqrt(rank) : rank);
}

function sizeOf(adapter: AdapterOnDisk, key: string): { shape: readonly number[]; trainable: number } {
  const { shape } = adapter.tensors.get(key)!;
  return { shape, trainable: elementCount(shape) ?? 0 };
}

/** A bias that trains, or a parameter of a module in `modules_to_save`. */
function isWhole(key: string, options: LoraOptions | undefined): boolean {
  const modulePath = key.replace(PREFIX, '').replace(/\.(weight|bias)$/, '');
  if (key.endsWith('.bias') && options !== undefined && options.bias !== 'none') return true;
  return matchesAny(options?.modules_to_save ?? [], modulePath);
}

/** PEFT stores the base's own matrix beside an adapted embedding or head. */
function isBaseCopy(key: string): boolean {
  return key.endsWith('.base_layer.weight');
}

function listed(keys: readonly string[]): string {
  return `${keys.slice(0, 3).join(', ')}${keys.length > 3 ? ', …' : ''}`;
}
