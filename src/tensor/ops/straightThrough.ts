import { defineOp } from '../defineOp.js';
import { ONNX_TYPE } from '../emitter.js';
import { isFloat } from '../tensor.js';
import type { Tensor } from '../tensor.js';

const stepOp = defineOp<number>({
  name: 'straightThroughStep',
  cheap: true,
  infer: ([x]) => {
    if (!isFloat(x!.dtype)) throw new Error(`straightThroughStep: needs floating-point numbers, not ${x!.dtype}`);
    return { dtype: x!.dtype, shape: x!.shape };
  },
  gradient: (_node, upstream) => [() => upstream],
  lower: (emit, [x], node, threshold) => {
    const above = emit.node('Greater', [x!, emit.scalar(threshold, node.dtype)]);
    return emit.node('Cast', [above], { to: ONNX_TYPE[node.dtype] });
  },
});

/**
 * 1 where x is above the threshold, else 0. The step is flat, so its derivative would teach x nothing; the gradient is
 * the straight-through estimator's instead, that of the identity: ∂L/∂x := ∂L/∂y (Bengio, Léonard & Courville 2013,
 * section 3.2, there of a sampled step).
 */
export function straightThroughStep(x: Tensor, threshold: number): Tensor {
  return stepOp([x], threshold);
}
