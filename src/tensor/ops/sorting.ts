import { defineOp } from '../defineOp.js';
import { shapeText } from '../dims.js';
import { isFloat, scalar } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { greaterOrEqual, where } from './elementwise.js';

const descendingRankOp = defineOp<null>({
  name: 'descendingRank',
  infer: ([x]) => {
    if (x!.shape.length !== 1 || !isFloat(x!.dtype)) {
      throw new Error(`descendingRank: needs a vector of floats, not ${x!.dtype} ${shapeText(x!.shape)}`);
    }
    return { dtype: 'int64', shape: x!.shape };
  },
  lower: (emit, [x], node) => {
    const count = emit.dim(node.shape[0]!);
    const sort = (values: string, largest: 0 | 1): string =>
      emit.outputs(2, 'TopK', [values, count], { axis: 0, largest, sorted: 1 })[1]!;
    // Which element comes at each place; its inverse is the place of each element.
    return sort(sort(x!, 1), 0);
  },
});

/**
 * The place of each element of a vector [n] from the largest (0) to the smallest (n − 1), int64 [n]. Of equal ones the
 * first comes first, so that places are distinct; NaN counts as −∞.
 */
export function descendingRank(x: Tensor): Tensor {
  // A sort whose comparisons contradict each other could go out of bounds.
  return descendingRankOp([where(greaterOrEqual(x, -Infinity), x, scalar(-Infinity, x.dtype))], null);
}
