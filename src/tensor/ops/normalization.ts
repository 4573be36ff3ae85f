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

const layerNormOp = defineOp<number>({
  name: 'layerNorm',
  infer: (inputs) => {
    const [x, w, b] = inputs as [Tensor, Tensor, Tensor];
    for (const parameter of [w, b]) {
      if (x.dtype !== parameter.dtype || !sameShape(x.shape.slice(-1), parameter.shape)) {
        throw new Error(
          `layerNorm: ${x.dtype} ${shapeText(x.shape)} by a weight or bias ${parameter.dtype} ${shapeText(parameter.shape)}`,
        );
      }
    }
    return { dtype: x.dtype, shape: x.shape };
  },
  // With x̂ = (x − mean x)/σ and ĝ = g ⊙ w: ∂x = (ĝ − mean ĝ − x̂ · mean(ĝ ⊙ x̂))/σ, ∂w = Σ g ⊙ x̂, ∂b = Σ g.
  gradient: (node, g, epsilon) => {
    const [x, w, b] = node.inputs as [Tensor, Tensor, Tensor];
    const parts = (): { normalized: Tensor; deviation: Tensor } => {
      const centred = sub(x, reduceMean(x, [-1], true));
      const deviation = sqrt(add(reduceMean(mul(centred, centred), [-1], true), epsilon));
      return { normalized: div(centred, deviation), deviation };
    };
    return [
      () => {
        const { normalized, deviation } = parts();
        const weighted = mul(g, w);
        const along = reduceMean(mul(weighted, normalized), [-1], true);
        return div(sub(sub(weighted, reduceMean(weighted, [-1], true)), mul(normalized, along)), deviation);
      },
      () => sumTo(mul(g, parts().normalized), w.shape),
      () => sumTo(g, b.shape),
    ];
  },
  lower: (emit, [x, w, b], node, epsilon) => {
    if (node.dtype === 'float32') {
      return emit.node('LayerNormalization', [x!, w!, b!], { axis: -1, epsilon: { float: epsilon } });
    }
    const mean = (value: string): string =>
      emit.node('ReduceMean', [value, emit.constant([-1], [1], 'int64')], { keepdims: 1 });
    const centred = emit.node('Sub', [x!, mean(x!)]);
    const variance = mean(emit.node('Mul', [centred, centred]));
    const deviation = emit.node('Sqrt', [emit.node('Add', [variance, emit.scalar(epsilon, node.dtype)])]);
    const scaled = emit.node('Mul', [emit.node('Div', [centred, deviation]), w!]);
    return emit.node('Add', [scaled, b!]);
  },
});

/** Layer norm over the last axis: (x − mean x) / √(var x + ε) ⊙ w + b (Ba, Kiros & Hinton 2016, eq. 4); w, b [hidden]. */
export function layerNorm(x: Tensor, w: Tensor, b: Tensor, epsilon: number): Tensor {
  return layerNormOp([x, w, b], epsilon);
}
