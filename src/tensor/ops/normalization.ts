import { sameShape, shapeText } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Emitter } from '../emitter.js';
import type { DType, Tensor } from '../tensor.js';
import { dimValue } from './dimValue.js';
import { add, div, mul, neg, sqrt, sub } from './elementwise.js';
import { reduceMean, sumTo } from './reduce.js';

const rmsNormOp = defineOp<number>({
  name: 'rmsNorm',
  cheap: true,
  infer: (inputs) => {
    const [x, w] = inputs as [Tensor, Tensor];
    if (x.dtype !== w.dtype || !sameShape(x.shape.slice(-1), w.shape)) {
      throw new Error(`rmsNorm: ${x.dtype} ${shapeText(x.shape)} by a weight ${w.dtype} ${shapeText(w.shape)}`);
    }
    return { dtype: x.dtype, shape: x.shape };
  },
  // With ρ = 1/√(mean x² + ε) and ĝ = g ⊙ w: ∂x = ρ(ĝ − x · ρ · mean(ĝ ⊙ x̂)), ∂w = Σ g ⊙ x̂, where x̂ = ρx and
  // ĝ ⊙ x̂ = g ⊙ y.
  gradient: ({ inputs, result }, g, epsilon) => {
    const [x, w] = inputs as [Tensor, Tensor];
    const inverse = rmsInverse(x, w, epsilon);
    return [
      () => {
        const along = reduceMean(mul(g, result), [-1], true);
        return mul(sub(mul(g, w), mul(x, mul(inverse, along))), inverse);
      },
      () => sumTo(mul(g, mul(x, inverse)), w.shape),
    ];
  },
  lower: (emit, [x, w], node, epsilon) => {
    if (node.dtype === 'float32') return fusedRmsNorm(emit, x!, w!, epsilon)[0];
    return emit.node('Mul', [emit.node('Div', [x!, rootMeanSquare(emit, x!, node.dtype, epsilon)]), w!]);
  },
});

const rmsInverseOp = defineOp<number>({
  name: 'rmsInverse',
  infer: ([x]) => ({ dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] }),
  // ∂ρ/∂x = −ρ³ x / n
  gradient: ({ inputs, result }, g) => [
    () => {
      const x = inputs[0]!;
      const cube = mul(mul(result, result), result);
      return mul(x, neg(div(mul(g, cube), dimValue(x.shape.at(-1)!, x.dtype))));
    },
    undefined,
  ],
  lower: (emit, [x, w], node, epsilon) =>
    node.dtype === 'float32'
      ? fusedRmsNorm(emit, x!, w!, epsilon)[1]
      : emit.node('Reciprocal', [rootMeanSquare(emit, x!, node.dtype, epsilon)]),
});

/**
 * 1/√(mean x² + ε) over the last axis, kept as an axis of one.
 * @param w the norm's weight: it takes no part, but with it this is a second output of the norm's own node
 */
export function rmsInverse(x: Tensor, w: Tensor, epsilon: number): Tensor {
  return rmsInverseOp([x, w], epsilon);
}

/** The normalized x, and 1/√(mean x² + ε). */
function fusedRmsNorm(emit: Emitter, x: string, w: string, epsilon: number): readonly [string, string] {
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  return emit.outputs(2, 'SimplifiedLayerNormalization', [x, w], attributes) as [string, string];
}

function rootMeanSquare(emit: Emitter, x: string, dtype: DType, epsilon: number): string {
  const square = emit.node('Mul', [x, x]);
  const mean = emit.node('ReduceMean', [square, emit.constant([-1], [1], 'int64')], { keepdims: 1 });
  return emit.node('Sqrt', [emit.node('Add', [mean, emit.scalar(epsilon, dtype)])]);
}

/** Root-mean-square norm over the last axis: x / √(mean x² + ε) ⊙ w (Zhang & Sennrich 2019, eq. 4). */
export function rmsNorm(x: Tensor, w: Tensor, epsilon: number): Tensor {
  return rmsNormOp([x, w], epsilon);
}

const layerNormOp = defineOp<number>({
  name: 'layerNorm',
  cheap: true,
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
