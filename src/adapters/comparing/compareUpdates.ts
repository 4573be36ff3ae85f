import { random } from '../../common/random.js';
import { productTriplets } from '../../linalg/lowRankFactors.js';
import { lowRankInner, lowRankNorm } from '../../linalg/products.js';
import { signConflicts } from '../../linalg/signConflicts.js';
import { overlaps, principalAngles, subspaceSimilarity } from '../../linalg/subspaces.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { ComparedModule, SharedSpace, SpaceComparison, Two } from './adapterComparison.js';
import { placeOfModule } from '../trainedShares.js';

/** Directions of each whose similarity is told one by one. */
const MOST_DIRECTIONS = 8;

/**
 * Singular values below this share of the largest are what rounding to float32 leaves of 0: their directions are of no
 * update.
 */
const SMALLEST = 1e-6;

/**
 * Two updates of one module. The spaces are those of ΔW's singular vectors, not of A's and B's own: these change when a
 * factor moves from one to the other, and ΔW does not. So φ is that of Hu et al. 2021 (section 7.2, eq. 4) for ΔW.
 *
 * @param pairs B·A of each, the scale included, of one shape; a rank of 0 is an update of 0
 */
export async function compareUpdates(
  path: string,
  shape: Two<number>,
  pairs: Two<PairValues>,
): Promise<ComparedModule> {
  const [out, inputs] = shape;
  const [one, other] = [await directionsOf(pairs[0]), await directionsOf(pairs[1])];
  const norms: Two<number> = [normOf(pairs[0]), normOf(pairs[1])];
  const isZero = one.rank === 0 || other.rank === 0;
  return {
    path,
    ...placeOfModule(path),
    shape,
    ranks: [one.rank, other.rank],
    norms,
    cosine: isZero ? null : bounded(lowRankInner(...pairs) / (norms[0] * norms[1])),
    signConflicts: isZero ? null : (signConflicts(...pairs, random(0, 'sign conflicts', path)) ?? null),
    outputs: spaces(one.u, other.u, out),
    inputs: spaces(one.v, other.v, inputs),
  };
}

/** Singular vectors of an update. */
export interface Directions {
  readonly rank: number;
  /** [out, rank] */
  readonly u: Float64Array;
  /** [in, rank] */
  readonly v: Float64Array;
}

/** Of B·A, those whose singular values are not 0. */
export async function directionsOf({ r, a, b }: PairValues): Promise<Directions> {
  const nothing = { rank: 0, u: new Float64Array(0), v: new Float64Array(0) };
  if (r === 0) return nothing;
  const { u, s, v } = await productTriplets({ r, a: Float64Array.from(a), b: Float64Array.from(b) });
  if (s[0] === 0) return nothing;
  const rank = s.findLastIndex((value) => value > SMALLEST * s[0]!) + 1;
  return { rank, u: firstColumns(u, s.length, rank), v: firstColumns(v, s.length, rank) };
}

function firstColumns(matrix: Float64Array, columns: number, count: number): Float64Array {
  return matrix.filter((_, at) => at % columns < count);
}

function spaces(one: Float64Array, other: Float64Array, size: number): SpaceComparison {
  const [i, j] = [one.length / size, other.length / size];
  if (i === 0 || j === 0) return { angles: [], similarity: [], ...NOTHING_SHARED };
  const inner = overlaps(one, other, size);
  const first = (count: number): number[] =>
    Array.from({ length: Math.min(count, MOST_DIRECTIONS) }, (_, at) => at + 1);
  return {
    angles: [...principalAngles(one, other, size)].map((angle) => (angle * 180) / Math.PI),
    similarity: first(i).map((k) => first(j).map((l) => subspaceSimilarity(inner, j, k, l))),
    ...sharedOf(inner, i, j, size),
  };
}

/** How much two spaces have in common. @param one orthonormal columns [size, i] @param other [size, j] */
export function sharedSpace(one: Float64Array, other: Float64Array, size: number): SharedSpace {
  const [i, j] = [one.length / size, other.length / size];
  return i === 0 || j === 0 ? NOTHING_SHARED : sharedOf(overlaps(one, other, size), i, j, size);
}

const NOTHING_SHARED: SharedSpace = { shared: null, sharedByChance: null };

function sharedOf(inner: Float64Array, i: number, j: number, size: number): SharedSpace {
  return { shared: subspaceSimilarity(inner, j, i, j), sharedByChance: Math.max(i, j) / size };
}

function normOf({ r, a, b }: PairValues): number {
  return r === 0 ? 0 : lowRankNorm(b, a, r);
}

/** Rounding takes the cosine of an update with itself beyond 1. */
export function bounded(cosine: number): number {
  return Math.max(-1, Math.min(1, cosine));
}
