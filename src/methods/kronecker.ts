import { lowRankEffectiveRank } from '../linalg/effectiveRank.js';
import { lowRankNorm, multiplied } from '../linalg/products.js';
import type { Site } from '../models/site.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reshape, transpose } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import type { Values } from './method.js';

/** A factor of a Kronecker product: one matrix, or the product of two thin ones, a [rows, r] and b [r, columns]. */
export type Factor<Matrix> =
  | { readonly kind: 'whole'; readonly whole: Matrix }
  | { readonly kind: 'product'; readonly a: Matrix; readonly b: Matrix };

/** s·(w1 ⊗ w2) */
export interface KroneckerProduct<Matrix> {
  /** s */
  readonly scale: number;
  /** [l, m], out = l·k, in = m·n */
  readonly w1: Factor<Matrix>;
  /** [k, n] */
  readonly w2: Factor<Matrix>;
  readonly shape: KroneckerShape;
}

/** The update of one linear site: ΔW = s·(w1 ⊗ w2). */
export interface KroneckerPair extends KroneckerProduct<Variable> {
  readonly site: Site;
}

export interface KroneckerShape {
  readonly l: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/**
 * A length as a product of two, as PEFT's LoKr has it (after LyCORIS): (factor, length / factor) where a positive factor
 * divides; else the divisors nearest the square root, the first of at most `factor` (−1: any).
 */
export function factorized(length: number, factor: number): readonly [number, number] {
  if (factor > 0 && length % factor === 0) return [factor, length / factor];
  const most = factor === -1 ? length : factor;
  let best = 1;
  for (let divisor = 2; divisor <= most && divisor * divisor <= length; divisor++) {
    if (length % divisor === 0) best = divisor;
  }
  return [best, length / best];
}

/** The variables of a pair. */
export function pairVariables({ w1, w2 }: Pick<KroneckerPair, 'w1' | 'w2'>): readonly Variable[] {
  return [w1, w2].flatMap((factor) => (factor.kind === 'whole' ? [factor.whole] : [factor.a, factor.b]));
}

/**
 * s·(w1 ⊗ w2)·x without the product: with x as X [m, n], row-major, it is s·w1·X·w2ᵀ [l, k].
 * @param x [..., in]
 * @returns [..., out]
 */
export function kroneckerOutput(
  { w1, w2, scale, shape: { l, m, k, n } }: KroneckerProduct<Tensor>,
  x: Tensor,
): Tensor {
  const leading = x.shape.slice(0, -1);
  const swapped = (y: Tensor): Tensor => {
    const axes = y.shape.length;
    const order = y.shape.map((_, axis) => axis);
    return transpose(y, [...order.slice(0, -2), axes - 1, axes - 2]);
  };
  const right = timesTransposed(reshape(x, [...leading, m, n]), w2, 1);
  const both = timesTransposed(swapped(right), w1, scale);
  return reshape(swapped(both), [...leading, l * k]);
}

/** α·y·wᵀ. */
function timesTransposed(y: Tensor, w: Factor<Tensor>, alpha: number): Tensor {
  if (w.kind === 'whole') return matmul(y, w.whole, { transposeB: true, alpha });
  return matmul(matmul(y, w.b, { transposeB: true }), w.a, { transposeB: true, alpha });
}

/** A factor's numbers [rows, columns], as b·a of rank r. */
interface FactorValues {
  readonly b: Float32Array;
  readonly a: Float32Array;
  readonly r: number;
}

/** W + s·(w1 ⊗ w2) for a weight [out, in]; sums in double precision, rounded once. */
export function mergeKronecker(pair: KroneckerPair, base: Float32Array, values: Values): Float32Array {
  const { l, m, k, n } = pair.shape;
  const [left, right] = [fullFactor(pair.w1, values), fullFactor(pair.w2, values)];
  const merged = base.slice();
  for (let i = 0; i < l; i++) {
    for (let j = 0; j < m; j++) {
      const factor = pair.scale * left[i * m + j]!;
      for (let p = 0; p < k; p++) {
        const at = (i * k + p) * m * n + j * n;
        for (let q = 0; q < n; q++) merged[at + q] = base[at + q]! + factor * right[p * n + q]!;
      }
    }
  }
  return merged;
}

function fullFactor(factor: Factor<Variable>, values: Values): Float64Array {
  if (factor.kind === 'whole') return Float64Array.from(values.get(factor.whole.name)!);
  const [rows, r] = factor.a.shape as [number, number];
  return multiplied(
    Float64Array.from(values.get(factor.a.name)!),
    Float64Array.from(values.get(factor.b.name)!),
    rows,
    r,
  );
}

/** What is known of s·(w1 ⊗ w2) from its factors alone. */
export interface KroneckerFacts {
  /** The highest rank that it can have: rank(w1 ⊗ w2) = rank(w1)·rank(w2). */
  readonly rank: number;
  /** ‖s·(w1 ⊗ w2)‖_F = |s|·‖w1‖·‖w2‖ */
  readonly norm: number;
}

/** Rank and norm of a pair's update. */
export function kroneckerFacts(pair: KroneckerPair, values: Values): KroneckerFacts {
  const numbers = (variable: Variable): FactorMatrix => ({
    shape: variable.shape as readonly number[],
    data: values.get(variable.name)!,
  });
  return factsOf(mapFactor(pair.w1, numbers), mapFactor(pair.w2, numbers), pair.scale);
}

/** A matrix of a factor with its numbers. */
export interface FactorMatrix {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** {@link kroneckerFacts} of numbers. */
export function factsOf(w1: Factor<FactorMatrix>, w2: Factor<FactorMatrix>, scale: number): KroneckerFacts {
  return {
    rank: mostRank(w1) * mostRank(w2),
    norm: Math.abs(scale) * normOf(w1) * normOf(w2),
  };
}

/**
 * The effective rank (see `linalg/effectiveRank.ts`) of w1 ⊗ w2: its singular values are all products of theirs, so that the
 * entropies add up and the effective ranks are multiplied.
 * @returns undefined for a factor that is too large to be taken apart
 */
export function kroneckerEffectiveRank(w1: Factor<FactorMatrix>, w2: Factor<FactorMatrix>): number | undefined {
  const [first, second] = [w1, w2].map((factor) => {
    const { b, a, r } = asProduct(factor);
    return lowRankEffectiveRank(b, a, r);
  });
  return first === undefined || second === undefined ? undefined : first * second;
}

/** The highest rank of a factor: of a product [rows, r]·[r, columns] the least of the three. */
export function mostRank(factor: Factor<Pick<FactorMatrix, 'shape'>>): number {
  return factor.kind === 'whole'
    ? Math.min(...factor.whole.shape)
    : Math.min(...factor.a.shape, ...factor.b.shape);
}

/** A factor with something else in place of its matrices. */
export function mapFactor<From, To>(factor: Factor<From>, map: (matrix: From) => To): Factor<To> {
  return factor.kind === 'whole'
    ? { kind: 'whole', whole: map(factor.whole) }
    : { kind: 'product', a: map(factor.a), b: map(factor.b) };
}

/** A factor as b·a; of a whole matrix one of the two is the unit matrix, of its shorter side. */
function asProduct(factor: Factor<FactorMatrix>): FactorValues {
  if (factor.kind === 'product') return { b: factor.a.data, a: factor.b.data, r: factor.a.shape[1]! };
  const { data } = factor.whole;
  const [rows, columns] = factor.whole.shape as [number, number];
  return rows < columns ? { b: unit(rows), a: data, r: rows } : { b: data, a: unit(columns), r: columns };
}

function unit(size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let at = 0; at < size; at++) matrix[at * size + at] = 1;
  return matrix;
}

function normOf(factor: Factor<FactorMatrix>): number {
  if (factor.kind === 'product') return lowRankNorm(factor.a.data, factor.b.data, factor.a.shape[1]!);
  return Math.sqrt(factor.whole.data.reduce((sum, value) => sum + value * value, 0));
}
