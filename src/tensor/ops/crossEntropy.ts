import { sameShape, shapeText } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Tensor } from '../tensor.js';
import { equal, mul, sub, where } from './elementwise.js';
import { iota } from './dimValue.js';
import { softmax } from './reduce.js';
import { reshape } from './shape.js';

const crossEntropyOp = defineOp<null>({
  name: 'crossEntropy',
  infer: (inputs) => {
    const [logits, targets] = inputs as [Tensor, Tensor];
    if (logits.shape.length !== 2 || !sameShape(logits.shape.slice(0, 1), targets.shape)) {
      throw new Error(`crossEntropy: logits ${shapeText(logits.shape)}, targets ${shapeText(targets.shape)}`);
    }
    return { dtype: logits.dtype, shape: targets.shape };
  },
  // ∂ℓ/∂z = softmax(z) − onehot(target). The one-hot is never made: its row differs from the softmax's in one place.
  gradient: (node, g) => {
    const [logits, targets] = node.inputs as [Tensor, Tensor];
    return [
      () => {
        const probabilities = softmax(logits);
        const isTarget = equal(iota(logits.shape[1]!, targets.dtype), reshape(targets, [targets.shape[0]!, 1]));
        return mul(where(isTarget, sub(probabilities, 1), probabilities), reshape(g, [targets.shape[0]!, 1]));
      },
      undefined,
    ];
  },
  lower: (emit, [logits, targets]) => {
    const logs = emit.node('LogSoftmax', [logits!], { axis: -1 });
    const column = emit.node('Unsqueeze', [targets!, emit.constant([1], [1], 'int64')]);
    const picked = emit.node('GatherElements', [logs, column], { axis: 1 });
    return emit.node('Neg', [emit.node('Squeeze', [picked, emit.constant([1], [1], 'int64')])]);
  },
});

/** −log softmax(logits)[target] per row, in nats: logits [n, vocabulary], targets [n] → [n]. */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return crossEntropyOp([logits, targets], null);
}
