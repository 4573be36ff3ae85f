import { add, div, less, mul, sqrt, where } from '../tensor/ops/elementwise.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import type { Tensor } from '../tensor/tensor.js';
import { scalar } from '../tensor/tensor.js';

/** PyTorch's `clip_grad_norm_` adds this to the norm before it divides. */
const CLIP_EPSILON = 1e-6;

/** Global L2 norm of tensors, []. */
export function normOf(tensors: readonly Tensor[]): Tensor {
  return sqrt(tensors.map(sumOfSquares).reduce((a, b) => add(a, b)));
}

/** What gradients are scaled by so that their norm is at most the limit: min(1, limit / norm); undefined for limit 0. */
export function clipFactor(norm: Tensor, limit: number): Tensor | undefined {
  if (limit === 0) return undefined;
  const ratio = div(scalar(limit), add(norm, CLIP_EPSILON));
  return where(less(ratio, 1), ratio, scalar(1));
}

function sumOfSquares(x: Tensor): Tensor {
  return reduceSum(
    mul(x, x),
    x.shape.map((_, axis) => axis),
  );
}
