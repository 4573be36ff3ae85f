import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { random } from '../../common/random.js';
import type { Random } from '../../common/random.js';
import { factored, refactored } from '../../linalg/lowRankFactors.js';
import type { Kept } from '../../linalg/lowRankFactors.js';
import { addLowRank, lowRankNorm, plainProducts } from '../../linalg/products.js';
import { stacked } from '../../methods/lowRankPair.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { WeightWork } from '../../methods/method.js';
import type { Site } from '../../models/site.js';
import type { CombinedModule } from './combination.js';
import { pairsOfFactors, pairsOfMatrices } from './combinedPairs.js';
import { nameOf } from './combinedPart.js';
import type { WeighedPart } from './combinedPart.js';
import { sumDeltas } from './deltaSum.js';
import type { DeltaSum } from './deltaSum.js';
import type { LoraTerm } from '../loraTerms.js';
import type { UpdateTerm } from './updateSources.js';

/** How the updates of a module become one. */
export interface ModuleSum {
  readonly sum: DeltaSum;
  /** How much of the sum to keep; absent: as much as the ranks of the updates together. */
  readonly kept?: Kept;
  /** A and B by themselves. */
  readonly apart: boolean;
  /** Of what DARE draws. */
  readonly seed: number;
}

/** One adapter's update of a module and its weight in it. */
export type WeighedTerm = UpdateTerm & {
  /** Its place among the adapters. */
  readonly at: number;
  readonly weight: number;
};
type FactorTerm = Extract<WeighedTerm, { readonly kind: 'factors' }>;

/** What updates became, with what was lost of them. */
type Found = PairValues & Pick<CombinedModule, 'error' | 'pruned' | 'outvoted'>;

/**
 * The updates of a module as one B·A whose scale is 1. A `linear` sum of factors is exact unless less is to be kept: A's and B's are
 * put side by side.
 *
 * @param parts all adapters, for what is said of them
 * @throws ProblemError `combine.rank` where A and B of different ranks are to be combined by themselves, `combine.full-rank`
 *   where nothing says how much to keep of a matrix
 */
export async function moduleSum(
  site: Site,
  terms: readonly WeighedTerm[],
  how: ModuleSum,
  parts: readonly WeighedPart[],
  work?: WeightWork,
): Promise<{ readonly pair: PairValues; readonly module: CombinedModule }> {
  const factors = terms.filter((term): term is FactorTerm => term.kind === 'factors');
  const allFactors = factors.length === terms.length;
  const matrix = terms.find(({ kind }) => kind === 'matrix');
  if (matrix !== undefined && how.kept === undefined) fullRank(parts[matrix.at]!, site);
  const { r, a, b, ...told } = allFactors
    ? await sumOfFactors(site, factors, how, work)
    : await sumOfMatrices(site, terms, how, work);
  const updates = allFactors ? await relatedFactors(site, factors) : relatedMatrices(terms);
  return {
    pair: { r, a, b },
    module: {
      path: site.path,
      layer: site.layer ?? null,
      weights: parts.map(({ weightIn }) => weightIn(site)),
      size: (a.length / r) * (b.length / r),
      rank: r,
      numbers: a.length + b.length,
      norms: parts.map((_, at) => updates.norms.get(at) ?? 0),
      norm: lowRankNorm(b, a, r),
      ...told,
      pairs: updates.pairs,
    },
  };
}

async function sumOfFactors(
  site: Site,
  terms: readonly FactorTerm[],
  how: ModuleSum,
  work: WeightWork | undefined,
): Promise<Found> {
  const { sum, kept, apart } = how;
  if (apart) return { ...sumApart(site, terms, how), error: 0 };
  if (sum.kind !== 'linear') return sumOfMatrices(site, terms, how, work);
  const { r, a, b } = terms.map(weighted).reduce(stacked);
  if (kept === undefined || ('rank' in kept && kept.rank >= r)) return { r, a, b, error: 0 };
  return refactored({ r, a: Float64Array.from(a), b: Float64Array.from(b) }, kept);
}

async function sumOfMatrices(
  site: Site,
  terms: readonly WeighedTerm[],
  { sum, kept, seed }: ModuleSum,
  work: WeightWork | undefined,
): Promise<Found> {
  const deltas = terms.map((term) => ({ weight: term.weight, delta: matrixOf(term) }));
  const { sum: delta, ...leftOut } = sumDeltas(deltas, sum, (place) =>
    random(seed, 'combine', site.path, 'delta', terms[place]!.at),
  );
  const rows = rowsOf(site);
  const products = work?.products ?? plainProducts;
  const ranks = terms.reduce((total, term) => total + (term.kind === 'factors' ? term.r : 0), 0);
  const matrix = products(Float64Array.from(delta), rows, delta.length / rows);
  return { ...(await factored(matrix, kept ?? { rank: ranks })), ...leftOut };
}

/**
 * PEFT's way: √|w·s| on either side, the sign on A's.
 * @throws ProblemError `combine.rank`
 */
function sumApart(site: Site, terms: readonly FactorTerm[], { sum, seed }: ModuleSum): PairValues {
  const [{ r }] = terms as [FactorTerm, ...FactorTerm[]];
  const other = terms.find((term) => term.r !== r);
  if (other !== undefined) {
    fail({
      code: 'combine.rank',
      message: l10n.t`the adapters have ranks ${r} and ${other.r} in ${site.path}`,
      expected: l10n.t`one rank, where A and B are combined by themselves as in PEFT`,
      mend: l10n.t`Combine their updates instead, which may have any ranks: leave out --as-peft.`,
    });
  }
  const draws =
    (half: 'a' | 'b') =>
    (place: number): Random =>
      random(seed, 'combine', site.path, half, terms[place]!.at);
  const side = (half: 'a' | 'b'): Float32Array => {
    const deltas = terms.map((term) => {
      const factor = term.weight * term.scale;
      const sign = half === 'a' && factor < 0 ? -1 : 1;
      return { delta: term[half], weight: sign * Math.sqrt(Math.abs(factor)) };
    });
    return sumDeltas(deltas, sum, draws(half)).sum;
  };
  return { r, a: side('a'), b: side('b') };
}

/** Norms by the adapter's place, and what every two have to do with each other. */
interface Related {
  readonly norms: ReadonlyMap<number, number>;
  readonly pairs: CombinedModule['pairs'];
}

async function relatedFactors(site: Site, terms: readonly FactorTerm[]): Promise<Related> {
  const updates = terms.map((term) => {
    const update = weighted(term);
    return { at: term.at, update, norm: lowRankNorm(update.b, update.a, update.r) };
  });
  return {
    norms: new Map(updates.map(({ at, norm }) => [at, norm])),
    pairs: await pairsOfFactors(site.path, updates),
  };
}

function relatedMatrices(terms: readonly WeighedTerm[]): Related {
  const updates = terms.map((term) => {
    const update = matrixOf(term).map((each) => term.weight * each);
    return { at: term.at, update, norm: Math.sqrt(update.reduce((sum, each) => sum + each * each, 0)) };
  });
  return { norms: new Map(updates.map(({ at, norm }) => [at, norm])), pairs: pairsOfMatrices(updates) };
}

/** w and s in B. */
function weighted({ r, a, b, scale, weight }: LoraTerm & { readonly weight: number }): PairValues {
  return { r, a, b: scale * weight === 1 ? b : b.map((each) => scale * weight * each) };
}

/** ΔW [out, in], without its weight. */
function matrixOf(term: UpdateTerm): Float32Array {
  if (term.kind === 'matrix') return term.delta;
  const { r, a, b, scale } = term;
  return addLowRank(new Float32Array((b.length / r) * (a.length / r)), b, a, scale, b.length / r, r);
}

/** The rows of B·A. */
function rowsOf({ kind, shape }: Site): number {
  return kind === 'embedding' ? shape[1]! : shape[0]!;
}

function fullRank(part: WeighedPart, site: Site): never {
  return fail({
    code: 'combine.full-rank',
    message: l10n.t`what ${nameOf(part)} (${part.adapter.peftType}) changes in ${site.path} is a matrix of any rank, and a LoRA holds only some of it`,
    where: { file: part.adapter.configFile },
    expected: l10n.t`how much of each sum to keep: a rank or an energy`,
    mend: l10n.t`Say --rank R or --energy SHARE; what that costs is told for each module.`,
  });
}
