import { addDims, axisOf, dimText, multiplyDims, sameDim, sameShape, shapeText, sizeOf } from '../dims.js';
import type { Dim } from '../dims.js';
import { defineOp } from '../defineOp.js';
import { scalar } from '../tensor.js';
import type { Shape, Tensor } from '../tensor.js';
import { add, broadcastShapes } from './elementwise.js';
import { sumTo } from './reduce.js';

const reshapeOp = defineOp<Shape>({
  name: 'reshape',
  infer: ([x], shape) => {
    if (!sameDim(sizeOf(x!.shape), sizeOf(shape))) {
      throw new Error(`reshape: ${shapeText(x!.shape)} does not hold as many elements as ${shapeText(shape)}`);
    }
    return { dtype: x!.dtype, shape };
  },
  gradient: (node, g) => [() => reshape(g, node.inputs[0]!.shape)],
  lower: (emit, [x], _node, shape) => {
    // One unknown length is inferred by ONNX; with more of them the shape is computed in the graph.
    const unknown = shape.filter((length) => typeof length !== 'number').length;
    const target =
      unknown <= 1
        ? emit.constant(
            shape.map((length) => (typeof length === 'number' ? length : -1)),
            [shape.length],
            'int64',
          )
        : emit.shape(shape);
    return emit.node('Reshape', [x!, target]);
  },
});

/** The same elements, row-major, in another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : reshapeOp([x], shape);
}

const transposeOp = defineOp<readonly number[]>({
  name: 'transpose',
  infer: ([x], order) => {
    if (
      [...order].sort((a, b) => a - b).some((axis, index) => axis !== index) ||
      order.length !== x!.shape.length
    ) {
      throw new Error(`transpose: ${shapeText(x!.shape)} has no order of axes ${order.join(', ')}`);
    }
    return { dtype: x!.dtype, shape: order.map((axis) => x!.shape[axis]!) };
  },
  gradient: (_node, g, order) => [() => transpose(g, inverse(order))],
  lower: (emit, inputs, _node, order) => emit.node('Transpose', inputs, { perm: order }),
});

/** Axis i of the result is axis order[i] of x. */
export function transpose(x: Tensor, order: readonly number[]): Tensor {
  return transposeOp([x], order);
}

function inverse(order: readonly number[]): number[] {
  const result: number[] = new Array<number>(order.length);
  order.forEach((axis, index) => (result[axis] = index));
  return result;
}

const expandOp = defineOp<Shape>({
  name: 'expand',
  infer: ([x], shape) => {
    if (!sameShape(broadcastShapes(x!.shape, shape, 'expand'), shape)) {
      throw new Error(`expand: ${shapeText(x!.shape)} does not stretch to ${shapeText(shape)}`);
    }
    return { dtype: x!.dtype, shape };
  },
  gradient: (node, g) => [() => sumTo(g, node.inputs[0]!.shape)],
  lower: (emit, [x], _node, shape) => emit.node('Expand', [x!, emit.shape(shape)]),
});

/** Broadcasts x to a shape. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : expandOp([x], shape);
}

interface Range {
  readonly axis: number;
  readonly start: number;
  readonly end: Dim;
}

const sliceOp = defineOp<Range>({
  name: 'slice',
  infer: ([x], { axis, start, end }) => {
    const length = x!.shape[axis]!;
    const outside = typeof end === 'number' && (end < start || (typeof length === 'number' && end > length));
    if (start < 0 || outside) {
      throw new Error(`slice: axis ${axis} has no part ${start} … ${dimText(end)} in ${shapeText(x!.shape)}`);
    }
    return { dtype: x!.dtype, shape: withLength(x!.shape, axis, addDims(end, -start)) };
  },
  gradient: (node, g, { axis, start, end }) => [
    () => {
      const length = node.inputs[0]!.shape[axis]!;
      return pad(g, axis, start, addDims(length, multiplyDims(end, -1)));
    },
  ],
  lower: (emit, [x], _node, { axis, start, end }) =>
    emit.node('Slice', [
      x!,
      emit.constant([start], [1], 'int64'),
      emit.dim(end),
      emit.constant([axis], [1], 'int64'),
    ]),
});

/** Elements start … end − 1 along an axis (a negative axis counts from the end). */
export function slice(x: Tensor, axis: number, start: number, end: Dim): Tensor {
  const at = axisOf(x.shape, axis, 'slice');
  return start === 0 && sameDim(end, x.shape[at]!) ? x : sliceOp([x], { axis: at, start, end });
}

interface Padding {
  readonly axis: number;
  readonly before: Dim;
  readonly after: Dim;
}

const padOp = defineOp<Padding>({
  name: 'pad',
  infer: ([x], { axis, before, after }) => ({
    dtype: x!.dtype,
    shape: withLength(x!.shape, axis, addDims(addDims(x!.shape[axis]!, before), after)),
  }),
  gradient: (node, g, { axis, before }) => [
    () => {
      if (typeof before !== 'number') throw new Error('pad: no gradient where the length in front is unknown');
      return slice(g, axis, before, addDims(node.inputs[0]!.shape[axis]!, before));
    },
  ],
  lower: (emit, [x], node, { axis, before, after }) => {
    const pads = emit.node('Concat', [emit.dim(before), emit.dim(after)], { axis: 0 });
    return emit.node('Pad', [x!, pads, emit.scalar(0, node.dtype), emit.constant([axis], [1], 'int64')]);
  },
});

/** Zeros in front of and behind the elements along an axis. */
export function pad(x: Tensor, axis: number, before: Dim, after: Dim): Tensor {
  const at = axisOf(x.shape, axis, 'pad');
  return before === 0 && after === 0 ? x : padOp([x], { axis: at, before, after });
}

/**
 * The sum of tensors of one shape. Padded parts that lie side by side and fill it, as the gradients of slices do,
 * are joined instead.
 */
export function sumOf(terms: readonly Tensor[]): Tensor {
  return joinedPads(terms) ?? terms.reduce((a, b) => add(a, b));
}

function joinedPads(terms: readonly Tensor[]): Tensor | undefined {
  const parts: { readonly x: Tensor; readonly padding: Padding }[] = [];
  for (const term of terms) {
    if (term.kind !== 'applied' || term.op !== 'pad') return undefined;
    parts.push({ x: term.inputs[0]!, padding: term.attributes as Padding });
  }
  const axis = parts[0]?.padding.axis;
  const begin = ({ padding }: (typeof parts)[number]): number =>
    typeof padding.before === 'number' ? padding.before : Infinity;
  parts.sort((a, b) => begin(a) - begin(b));
  let filled: Dim = 0;
  for (const { x, padding } of parts) {
    if (padding.axis !== axis || !sameDim(padding.before, filled)) return undefined;
    filled = addDims(filled, x.shape[axis]!);
  }
  const fills = axis !== undefined && sameDim(filled, terms[0]!.shape[axis]!);
  return fills
    ? concat(
        parts.map(({ x }) => x),
        axis,
      )
    : undefined;
}

const concatOp = defineOp<number>({
  name: 'concat',
  infer: (inputs, axis) => {
    const [first, ...rest] = inputs as [Tensor, ...Tensor[]];
    let length = first.shape[axis]!;
    for (const next of rest) {
      if (
        next.dtype !== first.dtype ||
        !sameShape(withLength(next.shape, axis, 1), withLength(first.shape, axis, 1))
      ) {
        throw new Error(
          `concat: ${shapeText(next.shape)} does not join ${shapeText(first.shape)} along axis ${axis}`,
        );
      }
      length = addDims(length, next.shape[axis]!);
    }
    return { dtype: first.dtype, shape: withLength(first.shape, axis, length) };
  },
  gradient: (node, g, axis) => {
    let start: Dim = 0;
    return node.inputs.map((part) => {
      const from = start;
      start = addDims(start, part.shape[axis]!);
      const end = start;
      return () => {
        if (typeof from !== 'number') throw new Error('concat: no gradient behind a part of unknown length');
        return slice(g, axis, from, end);
      };
    });
  },
  lower: (emit, inputs, _node, axis) => emit.node('Concat', inputs, { axis }),
});

/** Tensors one behind the other along an axis. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const at = axisOf(parts[0]!.shape, axis, 'concat');
  return parts.length === 1 ? parts[0]! : concatOp(parts, at);
}

/** All zeros. */
export function zeros(shape: Shape, like: Tensor): Tensor {
  return expand(scalar(0, like.dtype), shape);
}

function withLength(shape: Shape, axis: number, length: Dim): Shape {
  return shape.map((old, index) => (index === axis ? length : old));
}
