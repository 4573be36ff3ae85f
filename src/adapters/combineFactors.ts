import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { random } from '../common/random.js';
import type { Random } from '../common/random.js';
import { factored, refactored } from '../linalg/lowRankFactors.js';
import type { Kept } from '../linalg/lowRankFactors.js';
import { addLowRank, lowRankNorm, plainProducts } from '../linalg/products.js';
import type { LoraOptions } from '../methods/lora.js';
import { moduleNames } from '../methods/loraConfig.js';
import { trainedParameters } from '../methods/loraParameters.js';
import { stacked, takesPair } from '../methods/lowRankPair.js';
import type { PairValues } from '../methods/lowRankPair.js';
import type { AttachContext, NamedTensor, WeightWork } from '../methods/method.js';
import type { TrainedParameter } from '../methods/parameters.js';
import { plainLora } from '../methods/plainLora.js';
import type { Site } from '../models/site.js';
import type { CombinedModule } from './combination.js';
import { pairsOfFactors } from './combinedPairs.js';
import { nothingLeft } from './combinedPart.js';
import type { Sum, WeighedPart } from './combinedPart.js';
import { sumDeltas } from './deltaSum.js';
import type { DeltaSum } from './deltaSum.js';
import { loraOptionsOf, loraTerm } from './loraTerms.js';
import type { LoraTerm } from './loraTerms.js';

/** How low-rank updates become one. */
export interface FactorSum {
  readonly sum: DeltaSum;
  /**
   * How much of each module's sum to keep. Default: all of a `linear` one, whose rank is that of the adapters together; of the
   * others, whose rank is full, as much as that. `largest`: the largest rank that an adapter has in the module.
   */
  readonly kept?: Kept | 'largest';
  /** As HF PEFT's `add_weighted_adapter` has it: A and B by themselves, so that products of different adapters are in the sum. */
  readonly asPeft?: true;
  /** Of what DARE draws. */
  readonly seed: number;
}

/** One adapter's update of a module: w·s·B·A. */
interface Term extends LoraTerm {
  /** Its place among the adapters. */
  readonly at: number;
  readonly weight: number;
}

/**
 * Σ w·s·B·A of LoRA adapters of any ranks and targets, as one LoRA whose scale is 1. The `linear` one is exact: A's and B's are put
 * side by side. Biases and modules that trained whole are θ₀ + Σ w·(θ − θ₀).
 *
 * @param parts LoRA adapters that were found to fit the model
 * @throws ProblemError `combine.rank`, `combine.nothing`, `lora.twice`
 */
export async function combineFactors(
  parts: readonly WeighedPart[],
  context: AttachContext,
  how: FactorSum,
  work?: WeightWork,
): Promise<Sum> {
  const all = parts.map((part) => ({ ...part, options: loraOptionsOf(part.adapter, context) }));
  const sites = context.model.sites.filter(takesPair);
  const adapted: { site: Site; pair: PairValues }[] = [];
  const modules: CombinedModule[] = [];
  for (const [done, site] of sites.entries()) {
    await work?.progress(done, sites.length);
    const terms = await termsOf(all, site);
    if (terms.length === 0) continue;
    const found = await sumOf(terms, how, site, work);
    adapted.push({ site, pair: found });
    modules.push(await described(site, terms, found, parts));
  }
  await work?.progress(sites.length, sites.length);
  if (adapted.length === 0) nothingLeft();
  const paths = new Map(adapted.map(({ site }) => [site.path, site]));
  const choice = {
    bias: biasOf(all.map(({ options }) => options.bias)),
    modules_to_save: [...new Set(all.flatMap(({ options }) => options.modules_to_save ?? []))],
  };
  const whole = await wholeSums(all, trainedParameters(choice, context, paths).trained, context);
  const r = mostFrequent(adapted.map(({ pair }) => pair.r));
  const saved = plainLora(
    adapted.map(({ site, pair }) => ({ ...pair, site, scale: 1 })),
    { r, lora_alpha: r, lora_dropout: 0, target_modules: moduleNames([...paths.values()], context.model.sites) },
    context,
  );
  return {
    config: {
      ...saved.config,
      bias: choice.bias,
      modules_to_save: choice.modules_to_save.length === 0 ? null : choice.modules_to_save,
    },
    tensors: [...saved.tensors, ...whole],
    modules,
  };
}

interface LoraPart extends WeighedPart {
  readonly options: LoraOptions;
}

/** What each of the adapters that has this module, and a weight in it, adds to it. */
async function termsOf(parts: readonly LoraPart[], site: Site): Promise<Term[]> {
  const terms: Term[] = [];
  for (const [at, { adapter, weightIn, options }] of parts.entries()) {
    const weight = weightIn(site);
    const term = weight === 0 ? undefined : await loraTerm(adapter, options, site);
    if (term !== undefined) terms.push({ ...term, at, weight });
  }
  return terms;
}

type Found = PairValues & { readonly error: number };

async function sumOf(
  terms: readonly Term[],
  { sum, kept: wanted, asPeft, seed }: FactorSum,
  site: Site,
  work: WeightWork | undefined,
): Promise<Found> {
  const draws = (stream: string) => (at: number) => random(seed, 'combine', site.path, stream, at);
  if (asPeft === true) return { ...apart(terms, sum, site, draws), error: 0 };
  const together = terms.map(weighted).reduce(stacked);
  const kept = wanted === 'largest' ? { rank: Math.max(...terms.map(({ r }) => r)) } : wanted;
  if (sum.kind === 'linear') {
    if (kept === undefined || ('rank' in kept && kept.rank >= together.r)) return { ...together, error: 0 };
    const { r, a, b } = together;
    return refactored({ r, a: Float64Array.from(a), b: Float64Array.from(b) }, kept);
  }
  const deltas = terms.map(({ r, a, b, scale, weight, at }) => {
    const zeros = new Float32Array((b.length / r) * (a.length / r));
    return { at, weight, delta: addLowRank(zeros, b, a, scale, b.length / r, r) };
  });
  const delta = sumDeltas(deltas, sum, (place) => draws('delta')(deltas[place]!.at));
  const rows = together.b.length / together.r;
  const products = work?.products ?? plainProducts;
  const matrix = products(Float64Array.from(delta), rows, delta.length / rows);
  return factored(matrix, kept ?? { rank: together.r });
}

/** w and s in B. */
function weighted({ r, a, b, scale, weight }: Term): PairValues {
  return { r, a, b: scale * weight === 1 ? b : b.map((each) => scale * weight * each) };
}

/**
 * PEFT's way: √|w·s| on either side, the sign on A's.
 * @throws ProblemError `combine.rank`
 */
function apart(
  terms: readonly Term[],
  sum: DeltaSum,
  site: Site,
  draws: (stream: string) => (at: number) => Random,
): PairValues {
  const [{ r }] = terms as [Term, ...Term[]];
  const other = terms.find((term) => term.r !== r);
  if (other !== undefined) {
    fail({
      code: 'combine.rank',
      message: l10n.t`the adapters have ranks ${r} and ${other.r} in ${site.path}`,
      expected: l10n.t`one rank, where A and B are combined by themselves as in PEFT`,
      mend: l10n.t`Combine their updates instead, which may have any ranks: leave out --as-peft.`,
    });
  }
  const side = (half: 'a' | 'b'): Float32Array => {
    const deltas = terms.map((term) => {
      const factor = term.weight * term.scale;
      const sign = half === 'a' && factor < 0 ? -1 : 1;
      return { delta: term[half], weight: sign * Math.sqrt(Math.abs(factor)) };
    });
    return sumDeltas(deltas, sum, (place) => draws(half)(terms[place]!.at));
  };
  return { r, a: side('a'), b: side('b') };
}

async function described(
  site: Site,
  terms: readonly Term[],
  { error, ...found }: Found,
  parts: readonly WeighedPart[],
): Promise<CombinedModule> {
  const updates = terms.map((term) => {
    const update = weighted(term);
    return { at: term.at, update, norm: lowRankNorm(update.b, update.a, update.r) };
  });
  return {
    path: site.path,
    layer: site.layer ?? null,
    weights: parts.map(({ weightIn }) => weightIn(site)),
    size: (found.a.length / found.r) * (found.b.length / found.r),
    rank: found.r,
    numbers: found.a.length + found.b.length,
    norms: parts.map((_, at) => updates.find((each) => each.at === at)?.norm ?? 0),
    norm: lowRankNorm(found.b, found.a, found.r),
    error,
    pairs: await pairsOfFactors(site.path, updates),
  };
}

/** θ₀ + Σ w·(θ − θ₀) of biases and modules that trained whole. */
async function wholeSums(
  parts: readonly LoraPart[],
  trained: readonly TrainedParameter[],
  context: AttachContext,
): Promise<NamedTensor[]> {
  const tensors: NamedTensor[] = [];
  for (const { site, kind, key, variable } of trained) {
    const base = await context.read((kind === 'weight' ? site.weight : site.bias)!);
    const sum = Float64Array.from(base);
    for (const { adapter, weightIn } of parts) {
      // An adapter that does not adapt the module has its bias one level higher.
      const own = [key, key.replace('.base_layer.bias', '.bias')].find((each) => adapter.tensors.has(each));
      if (own === undefined) continue;
      (await adapter.read(own)).forEach((value, at) => (sum[at]! += weightIn(site) * (value - base[at]!)));
    }
    tensors.push({ name: key, shape: variable.shape as readonly number[], data: Float32Array.from(sum) });
  }
  return tensors;
}

/** What trains the biases of all of the adapters. */
function biasOf(choices: readonly LoraOptions['bias'][]): LoraOptions['bias'] {
  if (choices.includes('all')) return 'all';
  return choices.includes('lora_only') ? 'lora_only' : 'none';
}

/** Of equally frequent ones the first. */
function mostFrequent(numbers: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const each of numbers) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), [1, 0])[0];
}
