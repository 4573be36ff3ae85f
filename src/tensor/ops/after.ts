import { defineOp } from '../defineOp.js';
import type { Tensor } from '../tensor.js';

const afterOp = defineOp<null>({
  name: 'after',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  gradient: (_forward, g) => [() => g, undefined],
  // ONNX knows no order but that of data: a reshape to itself (zeros keep each length), whose target shape waits for
  // `earlier`. ONNX Runtime copies nothing for it.
  lower: (emit, [x, earlier], node) => {
    const keepAll = emit.constant(
      node.shape.map(() => 0),
      [node.shape.length],
      'int64',
    );
    return emit.node('Reshape', [x!, emit.node('Mul', [emit.node('Size', [earlier!]), keepAll])]);
  },
});

/** x as it is, for ops that must not run before `earlier` is there. Costs no copy. */
export function after(x: Tensor, earlier: Tensor): Tensor {
  return afterOp([x, earlier], null);
}
