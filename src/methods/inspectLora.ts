import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { lowRankNorm } from '../linalg/products.js';
import { elementCount } from '../models/tensorSpans.js';
import type { LoraOptions } from './lora.js';
import { loraConfigFromPeft } from './loraConfig.js';
import { PEFT_PREFIX, isTrained } from './loraParameters.js';
import type { PairValues } from './lowRankPair.js';
import { isBaseCopy, isWrittenTwice } from './parameters.js';
import { readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';
import { spectrumOf } from './spectrum.js';
import { patternValue } from './targets.js';

/** What a LoRA adapter's tensors are, without its base model. */
export async function inspectLora(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(loraConfigFromPeft, adapter, problems);
  const report: Report = (code, problem) =>
    problems.push({ code, severity: 'error', where: { file: adapter.weightsFile }, ...problem });
  const { pairs, rest } = pairUp(adapter, options?.use_dora !== false, report);
  const others = rest.filter((key) => !isWrittenTwice(key, adapter.tensors));
  const modules: InspectedModule[] = [];
  for (const pair of pairs) modules.push(await inspectPair(adapter, pair, options, report));
  return {
    r: options?.r ?? numberIn(adapter, 'r'),
    alpha: options?.lora_alpha ?? numberIn(adapter, 'lora_alpha'),
    modules,
    whole: others.filter((key) => isTrained(key, options)),
    unknown: others.filter((key) => !isTrained(key, options) && !isBaseCopy(key)),
    problems,
  };
}

type Report = (code: string, problem: Omit<Problem, 'code' | 'severity' | 'where'>) => void;

interface Pair {
  readonly path: string;
  readonly a: string;
  readonly b: string;
  /** DoRA's. */
  readonly magnitude?: string | undefined;
}

const LOW_RANK = /^(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?$/;
const MAGNITUDE = /^(?:base_model\.model\.)?(.+)\.lora_magnitude_vector$/;

/** What the config says where its options as a whole are not supported. */
function numberIn({ config }: AdapterTensors, key: string): number | undefined {
  const value = config[key];
  return typeof value === 'number' ? value : undefined;
}

/** A and B of each module; a single one is reported. @param lengths whether modules may have a magnitude, too */
function pairUp(adapter: AdapterTensors, lengths: boolean, report: Report): { pairs: Pair[]; rest: string[] } {
  const halves = new Map<string, { A?: string; B?: string }>();
  const magnitudes = new Map<string, string>();
  const rest: string[] = [];
  for (const key of adapter.tensors.keys()) {
    const [, modulePath, half] = LOW_RANK.exec(key) ?? [];
    const measured = lengths ? MAGNITUDE.exec(key)?.[1] : undefined;
    if (modulePath !== undefined) {
      halves.set(modulePath, { ...halves.get(modulePath), [half === 'A' ? 'A' : 'B']: key });
    } else if (measured !== undefined) magnitudes.set(measured, key);
    else rest.push(key);
  }
  const pairs: Pair[] = [];
  for (const [modulePath, { A: a, B: b }] of halves) {
    if (a !== undefined && b !== undefined) {
      pairs.push({ path: modulePath, a, b, magnitude: magnitudes.get(modulePath) });
    } else {
      report('adapter.missing-pair', {
        message: a === undefined ? l10n.t`${modulePath} has B without A` : l10n.t`${modulePath} has A without B`,
        expected: l10n.t`lora_A and lora_B of every adapted module`,
        mend: l10n.t`The file is incomplete: export the adapter again.`,
      });
    }
  }
  const alone = [...magnitudes].flatMap(([modulePath, key]) => (halves.has(modulePath) ? [] : [key]));
  return { pairs, rest: [...rest, ...alone] };
}

async function inspectPair(
  adapter: AdapterTensors,
  pair: Pair,
  options: LoraOptions | undefined,
  report: Report,
): Promise<InspectedModule> {
  const [a, b] = [adapter.tensors.get(pair.a)!.shape, adapter.tensors.get(pair.b)!.shape];
  const rank = a[0] ?? 0;
  const fits = a.length === 2 && b.length === 2 && a[0] === b[1] && rank > 0;
  if (!fits) {
    report('adapter.shape', {
      message: l10n.t`${pair.path}: A is [${a.join(', ')}] and B is [${b.join(', ')}]`,
      expected: l10n.t`A [r, in] and B [out, r]`,
    });
  }
  const wanted = options && (patternValue(options.rank_pattern, pair.path) ?? options.r);
  if (wanted !== undefined && wanted !== rank) {
    report('adapter.rank', {
      message: l10n.t`${pair.path} has rank ${rank}, the config says ${wanted}`,
      mend: l10n.t`Config and weights belong to different adapters, or rank_pattern lacks an entry.`,
    });
  }
  const length = pair.magnitude === undefined ? undefined : adapter.tensors.get(pair.magnitude)!.shape;
  if (length === undefined && options?.use_dora === true) {
    report('adapter.missing-pair', {
      message: l10n.t`${pair.path} has A and B without a magnitude`,
      expected: l10n.t`with use_dora, lora_magnitude_vector of every adapted module`,
      mend: l10n.t`The file is incomplete: export the adapter again.`,
    });
  }
  if (length !== undefined && fits && length.join() !== String(b[0])) {
    report('adapter.shape', {
      message: l10n.t`${pair.path}: B is [${b.join(', ')}] and the magnitude [${length.join(', ')}]`,
      expected: l10n.t`B [out, r] and a magnitude [out]`,
    });
  }
  const scale = options && fits ? scaleOf(options, pair.path, rank) : undefined;
  const trainable = [a, b, ...(length === undefined ? [] : [length])].reduce(
    (sum, shape) => sum + (elementCount(shape) ?? 0),
    0,
  );
  const found = { path: pair.path, rank, scale, a, b, trainable };
  if (scale === undefined) return { ...found, norm: undefined };
  const values = { r: rank, b: await adapter.read(pair.b), a: await adapter.read(pair.a) };
  return { ...found, norm: Math.abs(scale) * lowRankNorm(values.b, values.a, rank), ...spectrumOf(values, scale) };
}

/** A and B of a module whose tensors belong together. */
export async function loraPair(
  adapter: AdapterTensors,
  { path, rank }: Pick<InspectedModule, 'path' | 'rank'>,
): Promise<PairValues> {
  const half = (which: 'A' | 'B'): Promise<Float32Array> => {
    const names = [`lora_${which}`, `lora_embedding_${which}`].flatMap((name) => [`${name}.weight`, name]);
    const keys = names.flatMap((name) => [`${PEFT_PREFIX}${path}.${name}`, `${path}.${name}`]);
    return adapter.read(keys.find((key) => adapter.tensors.has(key))!);
  };
  return { r: rank, a: await half('A'), b: await half('B') };
}

/** lora_alpha / r (Hu et al. 2021), or lora_alpha / √r (Kalajdzievski 2023, eq. 3). */
export function scaleOf(options: LoraOptions, modulePath: string, rank: number): number {
  const alpha = patternValue(options.alpha_pattern, modulePath) ?? options.lora_alpha;
  return alpha / (options.use_rslora ? Math.sqrt(rank) : rank);
}
