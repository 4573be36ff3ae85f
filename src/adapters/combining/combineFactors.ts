import { moduleNames } from '../../methods/loraConfig.js';
import { trainedParameters, trainsWhole } from '../../methods/loraParameters.js';
import type { ParameterChoice } from '../../methods/loraParameters.js';
import { takesPair } from '../../methods/lowRankPair.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { AttachContext, NamedTensor, WeightWork } from '../../methods/method.js';
import type { TrainedParameter } from '../../methods/parameters.js';
import { plainLora } from '../../methods/plainLora.js';
import type { Kept } from '../../linalg/lowRankFactors.js';
import type { Site } from '../../models/site.js';
import type { CombinedModule } from './combination.js';
import { nothingLeft } from './combinedPart.js';
import type { Sum } from './combinedPart.js';
import type { DeltaSum } from './deltaSum.js';
import { moduleSum } from './moduleSum.js';
import type { ModuleSum, WeighedTerm } from './moduleSum.js';
import type { UpdateSource } from './updateSources.js';

/** How low-rank updates become one. */
export interface FactorSum {
  readonly sum: DeltaSum;
  /**
   * How much of each module's sum to keep. Default: all of a `linear` one, whose rank is that of the adapters together; of the
   * others, whose rank is full, as much as that. `largest`: the largest rank that the options of one adapter name, which is
   * PEFT's `svd_rank`.
   */
  readonly kept?: Kept | 'largest';
  /**
   * As HF PEFT's `add_weighted_adapter` has it. Where `kept` says nothing: A and B by themselves, so that products of different
   * adapters are in the sum. One adapter alone is always combined `linear`.
   */
  readonly asPeft?: true;
  /** Of what DARE draws. */
  readonly seed: number;
}

/**
 * Σ w·ΔW of adapters of any ranks and targets, as one LoRA whose scale is 1. A `linear` sum of low-rank updates is exact. Biases and
 * modules that one of them trained whole are θ₀ + Σ w·(θ − θ₀), whatever the others do there.
 *
 * @throws ProblemError `combine.nothing`, those of {@link moduleSum} and of the sources
 */
export async function combineFactors(
  sources: readonly UpdateSource[],
  context: AttachContext,
  how: FactorSum,
  work?: WeightWork,
): Promise<Sum> {
  const modulesToSave = [...new Set(sources.flatMap(({ choice: own }) => own.modules_to_save ?? []))];
  // A LoRA holds a module whole or as a pair.
  const sites = context.model.sites.filter((site) => takesPair(site) && !trainsWhole(modulesToSave, site.path));
  const adapted: { site: Site; pair: PairValues }[] = [];
  const modules: CombinedModule[] = [];
  const rule = ruleOf(sources, how);
  for (const [done, site] of sites.entries()) {
    await work?.progress(done, sites.length);
    const terms = await termsOf(sources, site);
    if (terms.length === 0) continue;
    const { pair, module } = await moduleSum(site, terms, rule, sources, work);
    adapted.push({ site, pair });
    modules.push(module);
  }
  await work?.progress(sites.length, sites.length);
  if (adapted.length === 0) nothingLeft();
  const paths = new Map(adapted.map(({ site }) => [site.path, site]));
  const choice = {
    bias: biasOf(sources.map(({ choice: { bias } }) => bias)),
    modules_to_save: modulesToSave,
  };
  const whole = await wholeSums(sources, trainedParameters(choice, context, paths).trained, context);
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
      modules_to_save: modulesToSave.length === 0 ? null : modulesToSave,
    },
    tensors: [...saved.tensors, ...whole],
    modules,
  };
}

/** @returns how each module's updates become one */
function ruleOf(sources: readonly UpdateSource[], { sum, kept: wanted, asPeft, seed }: FactorSum): ModuleSum {
  if (asPeft === true && sources.length === 1) return { sum: { kind: 'linear' }, apart: true, seed };
  const ranks = sources.flatMap(({ r }) => r ?? []);
  const largest = ranks.length === 0 ? undefined : { rank: Math.max(...ranks) };
  const kept = wanted === 'largest' ? largest : wanted;
  return { sum, apart: asPeft === true && wanted === undefined, seed, ...(kept === undefined ? {} : { kept }) };
}

/** What each of the adapters that has this module, and a weight in it, adds to it. */
async function termsOf(sources: readonly UpdateSource[], site: Site): Promise<WeighedTerm[]> {
  const terms: WeighedTerm[] = [];
  for (const [at, source] of sources.entries()) {
    const weight = source.weightIn(site);
    const term = weight === 0 ? undefined : await source.term(site);
    if (term !== undefined) terms.push({ ...term, at, weight });
  }
  return terms;
}

/** θ₀ + Σ w·(θ − θ₀) of biases and modules that trained whole. */
async function wholeSums(
  sources: readonly UpdateSource[],
  trained: readonly TrainedParameter[],
  context: AttachContext,
): Promise<NamedTensor[]> {
  const tensors: NamedTensor[] = [];
  for (const { site, kind, key, variable } of trained) {
    const base = await context.read((kind === 'weight' ? site.weight : site.bias)!);
    const sum = Float64Array.from(base);
    for (const source of sources) {
      const own = await source.whole(site, kind, base);
      own?.forEach((value, at) => (sum[at]! += source.weightIn(site) * (value - base[at]!)));
    }
    tensors.push({ name: key, shape: variable.shape as readonly number[], data: Float32Array.from(sum) });
  }
  return tensors;
}

/** What trains the biases of all of the adapters. */
function biasOf(choices: readonly ParameterChoice['bias'][]): ParameterChoice['bias'] {
  if (choices.includes('all')) return 'all';
  return choices.includes('lora_only') ? 'lora_only' : 'none';
}

/** Of equally frequent ones the first. */
function mostFrequent(numbers: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const each of numbers) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), [1, 0])[0];
}
