import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { scaleOf } from '../../methods/inspectLora.js';
import { LoraOptions } from '../../methods/lora.js';
import { doubledOptions, loraConfigFromPeft, startOnChangedBase } from '../../methods/loraConfig.js';
import { peftKey } from '../../methods/loraParameters.js';
import { preparedStarts } from '../../methods/loraStart.js';
import { lowRankPair, stacked } from '../../methods/lowRankPair.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { AttachContext, NamedTensor, SavedAdapter, WeightWork } from '../../methods/method.js';
import type { AdapterOnDisk } from '../readAdapter.js';

/** A LoRA whose base was the original less s·B₀·A₀, as a LoRA of twice the rank on the original. */
export interface OnOriginalBase {
  readonly saved: SavedAdapter;
  /** The modules whose start was taken off. */
  readonly modules: readonly { readonly path: string; readonly rank: number }[];
}

/** A₀ and B₀ of a module, by its path; undefined where nothing was taken off the base. */
export type Starts = (path: string) => Promise<PairValues | undefined>;

/** Starts that PEFT finds again out of the weight alone, with no draw and no data. */
const FOUND_AGAIN = ['pissa', 'olora'] as const;

/**
 * `init_lora_weights` of an adapter that was trained on what its start left of the base (PiSSA, OLoRA, CorDA, LoRA-GA,
 * LoftQ) and was saved so; undefined for others, which are adapters of the base as it is.
 */
export function changedBaseStart({
  peftType,
  config,
}: Pick<AdapterOnDisk, 'peftType' | 'config'>): string | undefined {
  return peftType === 'LORA' ? startOnChangedBase(config) : undefined;
}

/**
 * The adapter on the original base W. It was trained on W − s·B₀·A₀, so that its ΔW is s·(B·A − B₀·A₀) = s·[B, −B₀]·[A; A₀]
 * (PEFT's `subtract_mutated_init`). DoRA's magnitudes stay: they scale the same sum. So do biases and `modules_to_save`,
 * which PEFT's own conversion loses.
 *
 * @throws ProblemError `convert.start`, `adapter.config`
 */
export async function onOriginalBase(adapter: AdapterOnDisk, starts: Starts): Promise<OnOriginalBase> {
  const options = optionsOf(adapter);
  const pairs = namedPairs(adapter);
  const halves = new Set([...pairs.values()].flatMap(({ a, b }) => [a, b]));
  const tensors: NamedTensor[] = [];
  for (const [name, { shape }] of adapter.tensors) {
    if (!halves.has(name)) tensors.push({ name, shape, data: await adapter.read(name) });
  }
  const modules: { path: string; rank: number }[] = [];
  for (const [path, names] of pairs) {
    const now = await pairIn(adapter, names);
    const start = await starts(path);
    if (start !== undefined) checkStart(now, start, path, adapter);
    // A module that took nothing off gets zeros, so that all ranks are doubled.
    const taken = start === undefined ? zerosLike(now) : { ...start, b: start.b.map((value) => -value) };
    const { r, a, b } = stacked(now, taken);
    tensors.push({ name: names.a, shape: [r, a.length / r], data: a });
    tensors.push({ name: names.b, shape: [b.length / r, r], data: b });
    if (start !== undefined) modules.push({ path, rank: r });
  }
  const { r, lora_alpha, rank_pattern, alpha_pattern } = doubledOptions(options);
  const config: JsonObject = {
    ...adapter.config,
    r,
    lora_alpha,
    rank_pattern,
    alpha_pattern,
    init_lora_weights: true,
  };
  return { saved: { kind: 'adapter', config, tensors }, modules };
}

/**
 * Starts as they were saved before the first step, an adapter of the same options.
 * @throws ProblemError `convert.initial` for one of other options, or the trained one itself; `convert.start`
 */
export async function savedStarts(initial: AdapterOnDisk, trained: AdapterOnDisk): Promise<Starts> {
  const [before, after] = [optionsOf(initial), optionsOf(trained)];
  const same = (['r', 'lora_alpha', 'use_rslora', 'rank_pattern', 'alpha_pattern'] as const).find(
    (key) => !Value.Equal(before[key], after[key]),
  );
  if (same !== undefined) {
    fail({
      code: 'convert.initial',
      message: l10n.t`the initial adapter has ${same} ${JSON.stringify(before[same])}, the trained one ${JSON.stringify(after[same])}`,
      where: { file: initial.configFile },
      expected: l10n.t`the adapter as it was before its first step`,
    });
  }
  let moved = false;
  for (const name of initial.tensors.keys()) {
    if (moved || !trained.tensors.has(name)) continue;
    const [one, two] = [await initial.read(name), await trained.read(name)];
    moved = one.some((value, at) => value !== two[at]);
  }
  if (!moved) {
    fail({
      code: 'convert.initial',
      message: l10n.t`the initial adapter has the numbers of the trained one: nothing would be left`,
      where: { file: initial.weightsFile },
      expected: l10n.t`the adapter as it was before its first step`,
    });
  }
  const pairs = namedPairs(initial);
  return (path) => {
    const names = pairs.get(path);
    if (names !== undefined) return pairIn(initial, names);
    return fail({
      code: 'convert.initial',
      message: l10n.t`the initial adapter does not have ${path}`,
      where: { file: initial.weightsFile },
      expected: l10n.t`the adapter as it was before its first step`,
    });
  };
}

/**
 * Starts that are found again in the base: the same products s·B₀·A₀, which the weight alone determines (A₀ and B₀ themselves
 * may have other signs). PEFT rounds what is left to the base's type, which is not undone.
 *
 * @throws ProblemError `convert.start` where draws, data or a quantization are in them
 */
export async function foundStarts(
  adapter: AdapterOnDisk,
  context: AttachContext,
  work?: WeightWork,
): Promise<Starts> {
  const init = changedBaseStart(adapter);
  const known = FOUND_AGAIN.find((each) => each === init);
  if (known === undefined) return refuse(String(init), adapter);
  const options = optionsOf(adapter);
  const pairs = context.model.sites.flatMap((site) => {
    const a = adapter.tensors.get(peftKey(lowRankPair(site, 1, 1, '').a.name));
    // PEFT takes nothing off an embedding.
    if (a === undefined || site.kind !== 'linear') return [];
    const r = a.shape[0]!;
    return [lowRankPair(site, r, scaleOf(options, site.path, r), '', true)];
  });
  const found = await preparedStarts(pairs, known, {
    ...context,
    instance: '',
    ...(work === undefined ? {} : { weightWork: work }),
  });
  const byPath = new Map(
    pairs.map(({ site, r, initial }): [string, PairValues] => {
      const numbers = (name: string): Float32Array => Float32Array.from(found.get(name)!);
      return [site.path, { r, a: numbers(initial!.a.name), b: numbers(initial!.b.name) }];
    }),
  );
  return (path) => Promise.resolve(byPath.get(path));
}

/** The options as they are without the start. */
function optionsOf({ config, configFile }: AdapterOnDisk): LoraOptions {
  const { init_lora_weights: init } = config;
  if (init === false || init === 'loftq') {
    return fail({
      code: 'convert.start',
      message:
        init === 'loftq'
          ? l10n.t`the adapter started from what a quantization left (init_lora_weights: loftq): its base is the quantized model, and not the original less a product`
          : l10n.t`the adapter started at random and took nothing off its base (init_lora_weights: false)`,
      where: { file: configFile },
      mend:
        init === 'loftq'
          ? l10n.t`Use it with the quantized base that it was trained on, or merge it there.`
          : l10n.t`Use it on its base as it is.`,
    });
  }
  return Value.Parse(LoraOptions, loraConfigFromPeft({ ...config, init_lora_weights: true }, configFile).options);
}

function refuse(init: string, { configFile }: AdapterOnDisk): never {
  const drawn = init.startsWith('pissa_niter');
  return fail({
    code: 'convert.start',
    message: drawn
      ? l10n.t`the adapter's start (init_lora_weights: ${init}) was found by random projection: it cannot be found again in the base`
      : l10n.t`the adapter's start (init_lora_weights: ${init}) was made of training data: it cannot be found again in the base`,
    where: { file: configFile },
    expected: l10n.t`the adapter as it was before its first step, or a start that the weights alone determine (pissa, olora)`,
    mend: l10n.t`Name the folder of the initial adapter: --initial DIR.`,
  });
}

/** @throws ProblemError `convert.initial` */
function checkStart(now: PairValues, start: PairValues, path: string, { weightsFile }: AdapterOnDisk): void {
  if (now.r === start.r && now.a.length === start.a.length && now.b.length === start.b.length) return;
  const told = ({ r, a, b }: PairValues): string => `A [${r}, ${a.length / r}], B [${b.length / r}, ${r}]`;
  fail({
    code: 'convert.initial',
    message: l10n.t`${path} started as ${told(start)} and is ${told(now)}`,
    where: { file: weightsFile },
    expected: l10n.t`the adapter as it was before its first step`,
  });
}

interface PairNames {
  readonly a: string;
  readonly b: string;
}

const HALF = /^(?:base_model\.model\.)?(.+)\.lora_(embedding_)?A(\.weight)?$/;

/** The names of A and B, by the module's path. */
function namedPairs({ tensors, weightsFile }: AdapterOnDisk): ReadonlyMap<string, PairNames> {
  const pairs = new Map<string, PairNames>();
  for (const a of tensors.keys()) {
    const [, path, embedding = '', weight = ''] = HALF.exec(a) ?? [];
    if (path === undefined) continue;
    const b = `${a.slice(0, a.length - `lora_${embedding}A${weight}`.length)}lora_${embedding}B${weight}`;
    if (tensors.has(b)) pairs.set(path, { a, b });
    else {
      fail({
        code: 'adapter.missing-pair',
        message: l10n.t`${path} has A and no B`,
        where: { file: weightsFile },
      });
    }
  }
  return pairs;
}

async function pairIn({ tensors, read }: AdapterOnDisk, { a, b }: PairNames): Promise<PairValues> {
  return { r: tensors.get(a)!.shape[0]!, a: await read(a), b: await read(b) };
}

function zerosLike({ r, a, b }: PairValues): PairValues {
  return { r, a: new Float32Array(a.length), b: new Float32Array(b.length) };
}
