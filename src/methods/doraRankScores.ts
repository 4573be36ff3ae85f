import { fixedSize } from '../tensor/dims.js';
import { abs, add, div, less, mul, relu, sqrt, sub, where } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reduceMean, reduceSum } from '../tensor/ops/reduce.js';
import { concat, reshape } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import type { Updates, UpdateView } from './method.js';
import type { RankAllocation } from './rankAllocation.js';
import type { ScaledPair } from './scaledPair.js';

/** The authors' code adds this to ‖ΔW‖ before it divides by it. */
const SHARE_EPSILON = 1e-8;

/**
 * The share of each component in its module's update, its importance (Mao et al. 2024): ‖c_i·b_i·a_iᵀ‖_F / ‖ΔW‖_F, ΔW = Σ c_i·b_i·a_iᵀ.
 * A component's norm is |c_i|·‖a_i‖·‖b_i‖, and ‖ΔW‖² = cᵀ·(A·Aᵀ ∘ Bᵀ·B)·c: no matrix of the module's size is computed.
 *
 * @param a [r, in]
 * @param b [out, r]
 * @param c [r, 1]
 * @returns [r]
 */
export function componentShares(a: Tensor, b: Tensor, c: Tensor): Tensor {
  const r = fixedSize(c.shape);
  const ofC = reshape(c, [r]);
  const sides = mul(reduceSum(mul(a, a), [1]), reduceSum(mul(b, b), [0]));
  const gram = mul(matmul(a, a, { transposeB: true }), matmul(b, b, { transposeA: true }));
  const squared = reduceSum(mul(gram, matmul(c, c, { transposeB: true })), [0, 1]);
  // Rounding may take a sum of 0 below it.
  return div(mul(abs(ofC), sqrt(sides)), add(sqrt(relu(squared)), SHARE_EPSILON));
}

/**
 * Scores and c after a step: s ← β·s + (1 − β)·share from the numbers that the optimizer left, as in the code of Mao et al.
 * 2024, and c of all but the best components becomes 0.
 *
 * @param sensitivity s, [n], pair after pair
 */
export function componentUpdates(
  pairs: readonly ScaledPair[],
  sensitivity: Variable,
  beta: number,
  allocation: RankAllocation,
  view: UpdateView,
): Updates {
  const shares = concat(
    pairs.map(({ pair: { a, b }, e }) => componentShares(view.updated(a), view.updated(b), view.updated(e))),
    0,
  );
  const smooth = add(mul(sensitivity, beta), mul(shares, 1 - beta));
  const score = where(less(allocation.scoring, 0.5), sensitivity, smooth);
  return new Map([[sensitivity, score], ...allocation.updates(score, view)]);
}

/**
 * Mean over all a_i and b_i of the variance of a vector's numbers, [], the sample's as in the authors' code: Mao et al.'s DEM
 * (2024). A component of a few large numbers changes little of the weight for its norm, by which it is judged.
 */
export function meanVariance(pairs: readonly ScaledPair[]): Tensor {
  const variances = pairs.flatMap(({ pair: { a, b } }) => [varianceOver(a, 1), varianceOver(b, 0)]);
  return reduceMean(concat(variances, 0), [0]);
}

/** Sample variance along one axis of a matrix. */
function varianceOver(x: Variable, axis: 0 | 1): Tensor {
  const count = Number(x.shape[axis]);
  const rows = Number(x.shape[1 - axis]);
  const mean = reshape(reduceMean(x, [axis]), axis === 0 ? [1, rows] : [rows, 1]);
  const off = sub(x, mean);
  return div(reduceSum(mul(off, off), [axis]), Math.max(1, count - 1));
}
