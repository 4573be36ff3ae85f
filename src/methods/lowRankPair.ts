import type { Random } from '../common/random.js';
import { addLowRank, lowRankNorm, transposed } from '../linalg/products.js';
import { liesTransposed, parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { add, sub } from '../tensor/ops/elementwise.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { matmul } from '../tensor/ops/matmul.js';
import { dropWithoutScale } from '../tensor/ops/random.js';
import { transpose } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import type { Values } from './method.js';

/** A and B of one site: y + s·B·A·x, or y + s·(B·A − B₀·A₀)·x where the start was taken off the base. */
export interface LowRankPair {
  readonly site: Site;
  readonly r: number;
  /** s in ΔW = s·B·A */
  readonly scale: number;
  /** [r, in]; for an embedding [r, vocabulary] */
  readonly a: Variable;
  /** [out, r] */
  readonly b: Variable;
  /** A₀ and B₀, of the same shapes, which rest. */
  readonly initial?: { readonly a: Variable; readonly b: Variable };
  /** m of DoRA, [out]: see `doraMagnitude.ts`. */
  readonly magnitude?: Variable;
}

/** Dropout of what A reads. */
export interface Dropped {
  readonly rate: number;
  /** Undefined outside of training. */
  readonly seed: Tensor | undefined;
  readonly random: Random;
}

/** Sites that can have a pair: others have no weight matrix. */
export function takesPair({ kind }: Pick<Site, 'kind'>): boolean {
  return kind === 'linear' || kind === 'embedding';
}

/**
 * The pair of a linear or embedding site.
 * @param instance what the names of the variables start with
 * @param fromBase whether it starts as a part of the weight; an embedding's does not
 */
export function lowRankPair(
  site: Site,
  r: number,
  scale: number,
  instance: string,
  fromBase = false,
): LowRankPair {
  const [inSize, outSize] =
    site.kind === 'embedding' ? [site.shape[0]!, site.shape[1]!] : [site.shape[1]!, site.shape[0]!];
  const name = `${instance}${site.path}.${site.kind === 'embedding' ? 'lora_embedding_' : 'lora_'}`;
  return {
    site,
    r,
    scale,
    a: variable(`${name}A`, [r, inSize]),
    b: variable(`${name}B`, [outSize, r]),
    ...(fromBase && site.kind === 'linear' && site.weight !== undefined
      ? {
          initial: { a: variable(`${name}A.initial`, [r, inSize]), b: variable(`${name}B.initial`, [outSize, r]) },
        }
      : {}),
  };
}

/** A pair whose A and B are made of what trains: gated, masked. */
export interface MadePair extends Pick<LowRankPair, 'site' | 'scale' | 'initial'> {
  /** As {@link LowRankPair.a}. */
  readonly a: Tensor;
  readonly b: Tensor;
}

/** y + s·B·A·x; for an embedding A's columns are looked up by token id. What rests reads all of x. */
export function lowRankOutput(pair: MadePair, x: Tensor, y: Tensor, dropped: Dropped): Tensor {
  const drop = dropOf(pair, x, dropped);
  const learned = learnedPart(pair, drop?.x ?? x, drop?.factor);
  // The difference first: at the start it is zero to the last bit.
  const taken = takenPart(pair, x);
  return add(y, taken === undefined ? learned : sub(learned, taken));
}

/**
 * x with a part of its numbers zero, and what the rest is to be multiplied by; undefined where none are dropped. An
 * embedding's ids are not.
 */
export function dropOf(
  { site }: Pick<MadePair, 'site'>,
  x: Tensor,
  { rate, seed, random }: Dropped,
): { readonly x: Tensor; readonly factor: number } | undefined {
  if (site.kind === 'embedding' || rate === 0 || seed === undefined) return undefined;
  return { x: dropWithoutScale(x, rate, seed, random.integer(2 ** 32)), factor: 1 / (1 - rate) };
}

/** factor·s·B·A·x */
export function learnedPart({ site, a, b, scale }: MadePair, x: Tensor, factor = 1): Tensor {
  const read =
    site.kind === 'embedding' ? gatherRows(transpose(a, [1, 0]), x) : matmul(x, a, { transposeB: true });
  return matmul(read, b, { transposeB: true, alpha: factor * scale });
}

/** factor·s·B₀·A₀·x; undefined where the start was not taken off the base. */
export function takenPart({ initial, scale }: MadePair, x: Tensor, factor = 1): Tensor | undefined {
  if (initial === undefined) return undefined;
  const { a, b } = initial;
  return matmul(matmul(x, a, { transposeB: true }), b, { transposeB: true, alpha: factor * scale });
}

/** Numbers of A [r, …] and B [out, r] of ΔW = s·B·A. */
export interface PairValues {
  readonly r: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** A and B; of a pair whose start was taken off the base [A; A₀] and [B, −B₀], of twice the rank. */
export function pairValues(pair: LowRankPair, values: Values): PairValues {
  const { a, b, r, initial } = pair;
  const now = { r, a: values.get(a.name)!, b: values.get(b.name)! };
  if (initial === undefined) return now;
  const taken = values.get(initial.b.name)!;
  return stacked(now, { r, a: values.get(initial.a.name)!, b: taken.map((value) => -value) });
}

/** [A; A'] and [B, B'] of B·A + B'·A'. */
export function stacked(one: PairValues, other: PairValues): PairValues {
  const r = one.r + other.r;
  const rows = one.b.length / one.r;
  const a = new Float32Array(one.a.length + other.a.length);
  a.set(one.a);
  a.set(other.a, one.a.length);
  const b = new Float32Array(rows * r);
  for (let i = 0; i < rows; i++) {
    b.set(one.b.subarray(i * one.r, (i + 1) * one.r), i * r);
    b.set(other.b.subarray(i * other.r, (i + 1) * other.r), i * r + one.r);
  }
  return { r, a, b };
}

/** The two that {@link stacked} put together, the first of this rank. */
export function unstacked({ a, b, r }: PairValues, first: number): readonly [PairValues, PairValues] {
  const part = (from: number, to: number): PairValues => ({
    r: to - from,
    a: a.slice((from * a.length) / r, (to * a.length) / r),
    b: b.filter((_, at) => at % r >= from && at % r < to),
  });
  return [part(0, first), part(first, r)];
}

/** W + ΔW for the site's base weight W, as the checkpoint holds it. */
export function mergePair(pair: LowRankPair, base: Float32Array, values: Values): Float32Array {
  const { site, scale } = pair;
  const { a, b, r } = pairValues(pair, values);
  const [rows, columns] = parameterShape(site, 'weight') as [number, number];
  // (B·A)ᵀ = Aᵀ·Bᵀ
  return liesTransposed(site)
    ? addLowRank(base, transposed(a, r, rows), transposed(b, columns, r), scale, rows, r)
    : addLowRank(base, b, a, scale, rows, r);
}

/** ‖ΔW‖_F */
export function pairNorm(pair: LowRankPair, values: Values): number {
  const { a, b, r } = pairValues(pair, values);
  return pair.scale * lowRankNorm(b, a, r);
}
