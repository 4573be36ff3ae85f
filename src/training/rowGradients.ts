import { dim, sameDim } from '../tensor/dims.js';
import { gradients } from '../tensor/grad.js';
import { matmulOptions } from '../tensor/ops/matmul.js';
import { topologicalOrder } from '../tensor/order.js';
import { substitute } from '../tensor/substitute.js';
import { variable } from '../tensor/tensor.js';
import type { Tensor, Variable, Weight } from '../tensor/tensor.js';

/** The rows of a batch, as lossGraph.ts names them. */
const ROWS = dim('batch');

/**
 * Whether the gradients of single rows by a weight can be taken in one pass over many rows: it is multiplied with tensors
 * [batch, tokens, in] and nothing else. A table that tokens are looked up in, a norm and an output layer are not.
 */
export function hasRowGradients(loss: Tensor, weight: Tensor): boolean {
  return topologicalOrder([loss]).every((node) => {
    if (node.kind !== 'applied' || !node.inputs.includes(weight)) return true;
    const [x] = node.inputs as [Tensor];
    const rows = x.shape.length === 3 ? x.shape[0]! : 1;
    return matmulOptions(node) !== undefined && x !== weight && sameDim(rows, ROWS);
  });
}

/**
 * ∂loss/∂w for each row of the batch by itself, [batch, ...w], for weights that have such ({@link hasRowGradients}) and a
 * loss that is a sum over rows.
 *
 * The loss is differentiated as if each row had a copy of the weight of its own, which makes the products of a weight's
 * gradient, Gᵀx, one for each row. Only their shapes tell the copies from the weight, so that it takes their place then.
 */
export function rowGradients(loss: Tensor, weights: readonly (Variable | Weight)[]): Tensor[] {
  const copies = new Map(
    weights.map((each) => [each, variable(`${each.name}/rows`, [ROWS, ...each.shape])] as const),
  );
  const own = [...copies.values()];
  const [byCopies] = substitute([loss], copies) as [Tensor];
  return substitute(gradients(byCopies, own), new Map(weights.map((each) => [copies.get(each)!, each] as const)));
}
