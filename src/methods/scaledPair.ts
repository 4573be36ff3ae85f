import type { Site } from '../models/site.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reshape } from '../tensor/ops/shape.js';
import { variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { dropOf, lowRankPair, pairValues } from './lowRankPair.js';
import type { Dropped, LowRankPair, PairValues } from './lowRankPair.js';
import type { Values } from './method.js';
import { components } from './pairComponents.js';
import { parameterSize } from './parameters.js';

/** A pair with a factor λ_i for each of its single-rank components: ΔW = s·B·diag(λ)·A = s·Σ λ_i·b_i·a_iᵀ. */
export interface ScaledPair {
  readonly pair: LowRankPair;
  /** λ, [r, 1] */
  readonly e: Variable;
}

/**
 * The scaled pair of a linear site.
 * @param factor the last part of the name of λ
 */
export function scaledPair(site: Site, r: number, scale: number, instance: string, factor: string): ScaledPair {
  return {
    pair: lowRankPair(site, r, scale, instance),
    e: variable(`${instance}${site.path}.${factor}`, [r, 1]),
  };
}

/** Numbers that a scaled pair trains. */
export function scaledPairSize({ pair: { a, b }, e }: ScaledPair): number {
  return [a, b, e].reduce((sum, { shape }) => sum + parameterSize(shape), 0);
}

/** y + s·B·diag(λ)·A·x */
export function scaledPairOutput({ pair, e }: ScaledPair, x: Tensor, y: Tensor, dropped: Dropped): Tensor {
  const { a, b, r, scale } = pair;
  const drop = dropOf(pair, x, dropped);
  const down = mul(matmul(drop?.x ?? x, a, { transposeB: true }), reshape(e, [r]));
  return add(y, matmul(down, b, { transposeB: true, alpha: (drop?.factor ?? 1) * scale }));
}

/** diag(λ)·A for A [r, in] and λ [r, 1]. */
export function scaledRows(a: Float32Array, lambda: Float32Array): Float32Array {
  const columns = a.length / lambda.length;
  return a.map((value, at) => value * lambda[Math.floor(at / columns)]!);
}

/** Values in which λ is part of A, so that ΔW = s·B·A. */
export function folded({ pair: { a, b }, e }: ScaledPair, values: Values): Values {
  return new Map([
    [a.name, scaledRows(values.get(a.name)!, values.get(e.name)!)],
    [b.name, values.get(b.name)!],
  ]);
}

/** Indices of the components whose λ is not 0. */
export function liveComponents({ e }: ScaledPair, values: Values): number[] {
  return [...values.get(e.name)!].flatMap((value, at) => (value === 0 ? [] : [at]));
}

/** Some components of a scaled pair: A [k, in], B [out, k] and λ [k]. */
export function componentsOf(
  { pair, e }: ScaledPair,
  values: Values,
  which: readonly number[],
): PairValues & { readonly lambda: Float32Array } {
  const lambda = values.get(e.name)!;
  return {
    ...components(pairValues(pair, values), which),
    lambda: Float32Array.from(which, (at) => lambda[at]!),
  };
}
