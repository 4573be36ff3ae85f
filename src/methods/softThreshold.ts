import { abs, mul, relu, sign, sub } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * sign(x)·max(|x| − ξ, 0): what minimises ½(z − x)² + ξ·|z| over z (the proximal map of the L1 norm; Ding et al. 2023, section 3).
 * @param threshold ξ, []
 */
export function softThreshold(x: Tensor, threshold: Tensor): Tensor {
  return mul(sign(x), relu(sub(abs(x), threshold)));
}
