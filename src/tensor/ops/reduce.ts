import { axisOf, multiplyDims, sameDim, sameShape, shapeText } from '../dims.js';
import type { Dim } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Shape, Tensor } from '../tensor.js';
import { div, equal, exp, mul, sub, where } from './elementwise.js';
import { dimValue } from './dimValue.js';
import { expand, reshape } from './shape.js';
import { scalar } from '../tensor.js';

interface Axes {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

function reduction(
  name: string,
  onnx: string,
  gradient: (x: Tensor, y: Tensor, g: Tensor, kept: Shape) => Tensor,
): (x: Tensor, axes: readonly number[], keepDims?: boolean) => Tensor {
  const apply = defineOp<Axes>({
    name,
    infer: ([x], { axes, keepDims }) => ({
      dtype: x!.dtype,
      shape: keepDims ? keptShape(x!.shape, axes) : x!.shape.filter((_, axis) => !axes.includes(axis)),
    }),
    gradient: ({ inputs, result }, g, { axes }) => [
      () => {
        const x = inputs[0]!;
        return gradient(x, result, g, keptShape(x.shape, axes));
      },
    ],
    lower: (emit, [x], _node, { axes, keepDims }) =>
      emit.node(onnx, [x!, emit.constant(axes, [axes.length], 'int64')], { keepdims: keepDims ? 1 : 0 }),
  });
  return (x, axes, keepDims = false) => {
    const positive = axes.map((axis) => axisOf(x.shape, axis, name)).sort((a, b) => a - b);
    return positive.length === 0 ? x : apply([x], { axes: positive, keepDims });
  };
}

function keptShape(shape: Shape, axes: readonly number[]): Shape {
  return shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
}

/** Sum over axes (negative ones count from the end). */
export const reduceSum = reduction('reduceSum', 'ReduceSum', (x, _y, g, kept) =>
  expand(reshape(g, kept), x.shape),
);

/** Sum of squares over axes, without the squares in memory. */
export const reduceSumSquare = reduction('reduceSumSquare', 'ReduceSumSquare', (x, _y, g, kept) =>
  mul(mul(x, 2), reshape(g, kept)),
);

/** Mean over axes. */
export const reduceMean = reduction('reduceMean', 'ReduceMean', (x, _y, g, kept) => {
  const count = kept.reduce<Dim>(
    (n, length, axis) => (sameDim(length, x.shape[axis]!) ? n : multiplyDims(n, x.shape[axis]!)),
    1,
  );
  return expand(div(reshape(g, kept), dimValue(count, g.dtype)), x.shape);
});

/** Largest value over axes; equal largest values each receive the whole gradient. */
export const reduceMax = reduction('reduceMax', 'ReduceMax', (x, y, g, kept) =>
  where(equal(x, reshape(y, kept)), expand(reshape(g, kept), x.shape), scalar(0, g.dtype)),
);

/** Undoes broadcasting: sums `x` over the axes along which `shape` was stretched to x's shape. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  if (extra < 0) return expand(x, shape);
  const axes = x.shape.flatMap((length, axis) => {
    const target = axis < extra ? undefined : shape[axis - extra]!;
    return target !== undefined && (sameDim(target, length) || target !== 1) ? [] : [axis];
  });
  const summed = reduceSum(x, axes, true);
  if (!sameShape(summed.shape.slice(extra), shape)) {
    throw new Error(`cannot sum ${shapeText(x.shape)} to ${shapeText(shape)}`);
  }
  return reshape(summed, shape);
}

const softmaxOp = defineOp<null>({
  name: 'softmax',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  // ∂L/∂x = y ⊙ (g − Σ g ⊙ y)
  gradient: ({ result }, g) => [
    () => {
      const weighted = mul(g, result);
      return sub(weighted, mul(result, reduceSum(weighted, [-1], true)));
    },
  ],
  lower: (emit, inputs) => emit.node('Softmax', inputs, { axis: -1 }),
});

/** exp(x) / Σ exp(x) over the last axis. */
export function softmax(x: Tensor): Tensor {
  return softmaxOp([x], null);
}

const logSoftmaxOp = defineOp<null>({
  name: 'logSoftmax',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  // ∂L/∂x = g − softmax(x) · Σ g
  gradient: ({ result }, g) => [() => sub(g, mul(exp(result), reduceSum(g, [-1], true)))],
  lower: (emit, inputs) => emit.node('LogSoftmax', inputs, { axis: -1 }),
});

/** x − log Σ exp(x) over the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return logSoftmaxOp([x], null);
}

const argMaxOp = defineOp<null>({
  name: 'argMax',
  infer: ([x]) => ({ dtype: 'int64', shape: x!.shape.slice(0, -1) }),
  lower: (emit, inputs) => emit.node('ArgMax', inputs, { axis: -1, keepdims: 0 }),
});

/** Index of the largest value along the last axis, the first where several are equal; int64. */
export function argMax(x: Tensor): Tensor {
  return argMaxOp([x], null);
}

const cumulativeSumOp = defineOp<null>({
  name: 'cumulativeSum',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  lower: (emit, [x], node) => emit.node('CumSum', [x!, emit.scalar(node.shape.length - 1, 'int64')]),
});

/** Sums of the elements up to each, itself included, along the last axis; no gradient flows back through it. */
export function cumulativeSum(x: Tensor): Tensor {
  return cumulativeSumOp([x], null);
}
