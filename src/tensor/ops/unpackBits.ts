import { defineOp } from '../defineOp.js';
import { fixedSize, shapeText } from '../dims.js';
import { ONNX_TYPE } from '../emitter.js';
import type { DType, Shape, Tensor } from '../tensor.js';

const WORD = 32;

const unpackBitsOp = defineOp<{ readonly shape: Shape; readonly dtype: DType }>({
  name: 'unpackBits',
  infer: ([words], { shape, dtype }) => {
    const size = fixedSize(shape);
    if (words!.dtype !== 'uint32' || words!.shape.length !== 1 || words!.shape[0] !== Math.ceil(size / WORD)) {
      throw new Error(
        `unpackBits: ${shapeText(shape)} needs ${Math.ceil(size / WORD)} uint32, not ${words!.dtype} ${shapeText(words!.shape)}`,
      );
    }
    return { dtype, shape };
  },
  lower: (emit, [words], { shape, dtype }) => {
    const column = emit.node('Reshape', [words!, emit.constant([-1, 1], [2], 'int64')]);
    const places = emit.constant(
      Array.from({ length: WORD }, (_, at) => at),
      [WORD],
      'uint32',
    );
    const shifted = emit.node('BitShift', [column, places], { direction: 'RIGHT' });
    const bits = emit.node('Cast', [emit.node('BitwiseAnd', [shifted, emit.scalar(1, 'uint32')])], {
      to: ONNX_TYPE[dtype],
    });
    const flat = emit.node('Reshape', [bits, emit.constant([-1], [1], 'int64')]);
    const index = (value: number): string => emit.constant([value], [1], 'int64');
    const cut = emit.node('Slice', [flat, index(0), index(fixedSize(shape)), index(0)]);
    return emit.node('Reshape', [cut, emit.shape(shape)]);
  },
});

/**
 * 0 or 1 for each number of a tensor, out of bits that are kept 32 to a word, the first lowest.
 * @param words uint32 [⌈size / 32⌉]
 * @param shape of the result, of fixed lengths
 */
export function unpackBits(words: Tensor, shape: Shape, dtype: DType): Tensor {
  return unpackBitsOp([words], { shape, dtype });
}
