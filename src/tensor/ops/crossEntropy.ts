import { sameShape, shapeText } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Emitter } from '../emitter.js';
import { scalar } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { after } from './after.js';
import { exp, mul } from './elementwise.js';
import { logSoftmax, reduceSum } from './reduce.js';
import { expand, reshape } from './shape.js';

// [n, vocabulary] is by far the largest tensor of a step, so this op and its gradient share one: log-probabilities,
// which take the place of the logits. The op's value depends on the logits through them alone, and its gradient
// goes to the logits directly.
const crossEntropyOp = defineOp<null>({
  name: 'crossEntropy',
  infer: (inputs) => {
    const [logits, , targets] = inputs as [Tensor, Tensor, Tensor];
    if (logits.shape.length !== 2 || !sameShape(logits.shape.slice(0, 1), targets.shape)) {
      throw new Error(`crossEntropy: logits ${shapeText(logits.shape)}, targets ${shapeText(targets.shape)}`);
    }
    return { dtype: logits.dtype, shape: targets.shape };
  },
  gradient: ({ inputs, result }, g) => {
    const [, logs, targets] = inputs as [Tensor, Tensor, Tensor];
    // The loss is read first: what still has to read the log-probabilities would keep them.
    return [() => crossEntropySlope(after(logs, result), targets, g), undefined, undefined];
  },
  lower: (emit, [, logs, targets]) => {
    const picked = emit.node('GatherElements', [logs!, column(emit, targets!)], { axis: 1 });
    return emit.node('Neg', [emit.node('Squeeze', [picked, emit.constant([1], [1], 'int64')])]);
  },
});

const slopeOp = defineOp<null>({
  name: 'crossEntropySlope',
  infer: ([logs]) => ({ dtype: logs!.dtype, shape: logs!.shape }),
  gradient: ({ inputs }, upstream) => {
    const [logs, targets, g] = inputs as [Tensor, Tensor, Tensor];
    return [
      () => mul(exp(logs), mul(upstream, reshape(g, [g.shape[0]!, 1]))),
      undefined,
      () => {
        const one = expand(scalar(1, g.dtype), g.shape);
        return reduceSum(mul(upstream, crossEntropySlope(logs, targets, one)), [-1]);
      },
    ];
  },
  // The one-hot is never made: it changes one element of each row.
  lower: (emit, [logs, targets, g], node) => {
    const index = column(emit, targets!);
    const probabilities = emit.node('Exp', [logs!]);
    const atTarget = emit.node('GatherElements', [probabilities, index], { axis: 1 });
    const less = emit.node('Sub', [atTarget, emit.scalar(1, node.dtype)]);
    const slope = emit.node('ScatterElements', [probabilities, index, less], { axis: 1 });
    return emit.node('Mul', [slope, column(emit, g!)]);
  },
});

/**
 * The loss by the logits: (softmax(logits) − onehot(target)) · g, [n, vocabulary].
 * @param logs log softmax(logits)
 * @param g the gradient by each row's loss, [n]
 */
export function crossEntropySlope(logs: Tensor, targets: Tensor, g: Tensor): Tensor {
  return slopeOp([logs, targets, g], null);
}

function column(emit: Emitter, vector: string): string {
  return emit.node('Unsqueeze', [vector, emit.constant([1], [1], 'int64')]);
}

/** −log softmax(logits)[target] per row, in nats: logits [n, vocabulary], targets [n] → [n]. */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return crossEntropyOp([logits, logSoftmax(logits), targets], null);
}
