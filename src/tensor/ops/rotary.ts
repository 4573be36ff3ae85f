import { multiplyDims, sameShape, shapeText } from '../dims.js';
import { defineOp } from '../defineOp.js';
import { ONNX_TYPE } from '../emitter.js';
import type { Tensor } from '../tensor.js';
import { neg } from './elementwise.js';

const rotaryOp = defineOp<null>({
  name: 'rotary',
  infer: (inputs) => {
    const [x, positions, cos, sin] = inputs as [Tensor, Tensor, Tensor, Tensor];
    const [batch, , sequence, width] = x.shape;
    const fits =
      x.shape.length === 4 &&
      cos.shape.length === 2 &&
      sameShape(positions.shape, [batch!, sequence!]) &&
      sameShape(cos.shape, sin.shape) &&
      sameShape([width!], [multiplyDims(cos.shape[1]!, 2)]);
    if (!fits) {
      throw new Error(
        `rotary: x ${shapeText(x.shape)}, positions ${shapeText(positions.shape)}, tables ${shapeText(cos.shape)}`,
      );
    }
    return { dtype: x.dtype, shape: x.shape };
  },
  // A rotation's transpose is the rotation back, so the gradient rotates by the opposite angle.
  gradient: (node, g) => {
    const [, positions, cos, sin] = node.inputs as [Tensor, Tensor, Tensor, Tensor];
    return [() => rotary(g, positions, cos, neg(sin)), undefined, undefined, undefined];
  },
  lower: (emit, [x, positions, cos, sin], node) => {
    if (node.dtype === 'float32') {
      const ids = emit.node('Cast', [positions!], { to: ONNX_TYPE.int64 });
      return emit.node('RotaryEmbedding', [x!, ids, cos!, sin!], { interleaved: 0 }, { domain: 'com.microsoft' });
    }
    const half = node.inputs[2]!.shape[1] as number;
    const headAxis = emit.constant([1], [1], 'int64');
    const lastAxis = emit.constant([3], [1], 'int64');
    const at = (table: string): string =>
      emit.node('Unsqueeze', [emit.node('Gather', [table, positions!], { axis: 0 }), headAxis]);
    const part = (from: number, to: number): string =>
      emit.node('Slice', [x!, emit.constant([from], [1], 'int64'), emit.constant([to], [1], 'int64'), lastAxis]);
    const [c, s] = [at(cos!), at(sin!)];
    const [left, right] = [part(0, half), part(half, 2 * half)];
    const times = (a: string, b: string): string => emit.node('Mul', [a, b]);
    return emit.node(
      'Concat',
      [emit.node('Sub', [times(left, c), times(right, s)]), emit.node('Add', [times(right, c), times(left, s)])],
      { axis: 3 },
    );
  },
});

/**
 * Rotary position embedding (Su et al. 2021, eq. 34) in the half-split layout of Hugging Face's Llama:
 * x [batch, heads, sequence, 2h], positions [batch, sequence] int32, cos and sin tables [positions, h].
 * The tables are constants: no gradient flows to them.
 */
export function rotary(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor): Tensor {
  return rotaryOp([x, positions, cos, sin], null);
}
