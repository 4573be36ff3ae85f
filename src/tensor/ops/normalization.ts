import { sameShape, shapeText } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Tensor } from '../tensor.js';
import { add, div, mul, sqrt, sub } from './elementwise.js';
import { reduceMean, sumTo } from './reduce.js';

const rmsNormOp = defineOp<number>({
  name: 'rmsNorm',
  infer: (inputs) => {
    const [x, w] = inputs as [Tensor, Tensor];
    if (x.dtype !== w.dtype || !sameShape(x.shape.slice(-1), w.shape)) {
      throw new Error(`rmsNorm: ${x.dtype} ${shapeText(x.shape)} by a weight ${w.dtype} ${shapeText(w.shape)}`);
    }
    return { dtype: x.dtype, shape: x.shape };
  },
  // With ρ = 1/√(mean x² + ε), x̂ = ρx and ĝ = g ⊙ w: ∂x = ρ(ĝ − x̂ · mean(ĝ ⊙ x̂)), ∂w = Σ g ⊙ x̂.
  gradient: (node, g, epsilon) => {
    const [x, w] = node.inputs as [Tensor, Tensor];
    const deviation = (): Tensor => sqrt(add(reduceMean(mul(x, x), [-1], true), epsilon));
    return [
      () => {
        const root = deviation();
        const normalized = div(x, root);
        const weighted = mul(g, w);
        const along = reduceMean(mul(weighted, normalized), [-1], true);
        return div(sub(weighted, mul(normalized, along)), root);
      },
      () => sumTo(mul(g, div(x, deviation())), w.shape),
    ];
  },
  lower: (emit, [x, w], node, epsilon) => {
    if (node.dtype === 'float32') {
      return emit.node('SimplifiedLayerNormalization', [x!, w!], { axis: -1, epsilon: { float: epsilon } });
    }
    const square = emit.node('Mul', [x!, x!]);
    const mean = emit.node('ReduceMean', [square, emit.constant([-1], [1], 'int64')], { keepdims: 1 });
    const root = emit.node('Sqrt', [emit.node('Add', [mean, emit.scalar(epsilon, node.dtype)])]);
    return emit.node('Mul', [emit.node('Div', [x!, root]), w!]);
  },
});

/** Root-mean-square norm over the last axis: x / √(mean x² + ε) ⊙ w (Zhang & Sennrich 2019, eq. 4). */
export function rmsNorm(x: Tensor, w: Tensor, epsilon: number): Tensor {
  return rmsNormOp([x, w], epsilon);
}
