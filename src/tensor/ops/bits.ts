import { shapeText } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Tensor } from '../tensor.js';
import { broadcastShapes } from './elementwise.js';

function bitwise(name: string, onnx: string): (a: Tensor, b: Tensor) => Tensor {
  const apply = defineOp<null>({
    name,
    infer: (inputs) => {
      const [a, b] = inputs as [Tensor, Tensor];
      if (a.dtype !== b.dtype || (a.dtype !== 'uint32' && a.dtype !== 'int32')) {
        throw new Error(
          `${name}: needs two uint32 or two int32, not ${a.dtype} ${shapeText(a.shape)}, ${b.dtype} ${shapeText(b.shape)}`,
        );
      }
      return { dtype: a.dtype, shape: broadcastShapes(a.shape, b.shape, name) };
    },
    lower: (emit, inputs) => emit.node(onnx, inputs),
  });
  return (a, b) => apply([a, b], null);
}

/** Bits that are set in one of two, broadcast. */
export const bitwiseXor = bitwise('bitwiseXor', 'BitwiseXor');
/** Bits that are set in one of two or both, broadcast. */
export const bitwiseOr = bitwise('bitwiseOr', 'BitwiseOr');

const shiftRightOp = defineOp<number>({
  name: 'shiftRight',
  infer: ([x]) => {
    if (x!.dtype !== 'uint32') throw new Error(`shiftRight: needs uint32, not ${x!.dtype} ${shapeText(x!.shape)}`);
    return { dtype: 'uint32', shape: x!.shape };
  },
  lower: (emit, [x], _node, by) => emit.node('BitShift', [x!, emit.scalar(by, 'uint32')], { direction: 'RIGHT' }),
});

/** uint32 without their lowest `by` bits, moved down by as many. */
export function shiftRight(x: Tensor, by: number): Tensor {
  return shiftRightOp([x], by);
}
