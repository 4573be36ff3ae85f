import { dimText, sameShape, shapeText, sizeOf } from '../dims.js';
import type { Dim } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Emitter } from '../emitter.js';
import { scalar } from '../tensor.js';
import type { Shape, Tensor } from '../tensor.js';
import { expand } from './shape.js';

const gatherOp = defineOp<null>({
  name: 'gatherRows',
  infer: (inputs) => {
    const [table, indices] = inputs as [Tensor, Tensor];
    if (table.shape.length === 0 || (indices.dtype !== 'int32' && indices.dtype !== 'int64')) {
      throw new Error(
        `gatherRows: no rows of ${shapeText(table.shape)} by indices ${indices.dtype} ${shapeText(indices.shape)}`,
      );
    }
    return { dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] };
  },
  gradient: (node, g) => {
    const [table, indices] = node.inputs as [Tensor, Tensor];
    return [() => scatterAddRows(g, indices, table.shape[0]!), undefined];
  },
  lower: (emit, inputs) => emit.node('Gather', inputs, { axis: 0 }),
});

/** Rows of a table by index: table [n, …rest], indices [...] (int32 or int64) → [..., …rest]. */
export function gatherRows(table: Tensor, indices: Tensor): Tensor {
  return gatherOp([table, indices], null);
}

const scatterAddOp = defineOp<Dim>({
  name: 'scatterAddRows',
  infer: (inputs, rows) => {
    const [updates, indices] = inputs as [Tensor, Tensor];
    return { dtype: updates.dtype, shape: [rows, ...restOf(updates, indices)] };
  },
  gradient: (node, g) => [() => gatherRows(g, node.inputs[1]!), undefined],
  lower: (emit, [updates, indices], node, rows) => {
    const [updateTensor, indexTensor] = node.inputs as [Tensor, Tensor];
    const rest = restOf(updateTensor, indexTensor);
    // ScatterElements wants one index per element; it adds serially, so the sum's order is always the same.
    const flatUpdates = emit.node('Reshape', [updates!, emit.shape([sizeOf(indexTensor.shape), ...rest])]);
    const column = emit.node('Reshape', [
      indices!,
      emit.constant([-1, ...rest.map(() => 1)], [1 + rest.length], 'int64'),
    ]);
    const wide = emit.node('Expand', [column, emit.shape([sizeOf(indexTensor.shape), ...rest])]);
    const zero = emit.node('Expand', [emit.scalar(0, node.dtype), emit.shape([rows, ...rest])]);
    return emit.node('ScatterElements', [zero, wide, flatUpdates], { axis: 0, reduction: 'add' });
  },
});

/**
 * A table of zeros with updates added to its rows, the transpose of {@link gatherRows}:
 * updates [..., …rest], indices [...] → [rows, …rest]. Equal indices add up.
 */
export function scatterAddRows(updates: Tensor, indices: Tensor, rows: Dim): Tensor {
  return scatterAddOp([updates, indices], rows);
}

const gatherAtOp = defineOp<null>({
  name: 'gatherAt',
  infer: ([x, places]) => ({ dtype: x!.dtype, shape: [placesIn(x!, places!)] }),
  gradient: (node, g) => {
    const [x, places] = node.inputs as [Tensor, Tensor];
    return [() => addAt(expand(scalar(0, x.dtype), x.shape), g, places), undefined];
  },
  lower: (emit, [x, places], node) =>
    emit.node('GatherElements', [flattened(emit, x!, node.inputs[0]!), places!], { axis: 0 }),
});

/** Single elements: x of any shape, places [k] (int32, row-major) → [k]. */
export function gatherAt(x: Tensor, places: Tensor): Tensor {
  return gatherAtOp([x, places], null);
}

const addAtOp = defineOp<null>({
  name: 'addAt',
  infer: ([x, values, places]) => {
    const count = placesIn(x!, places!);
    if (values!.dtype !== x!.dtype || !sameShape(values!.shape, [count])) {
      throw new Error(
        `addAt: values ${values!.dtype} ${shapeText(values!.shape)} for ${dimText(count)} places in ${x!.dtype}`,
      );
    }
    return { dtype: x!.dtype, shape: x!.shape };
  },
  gradient: (node, g) => [() => g, () => gatherAt(g, node.inputs[2]!), undefined],
  lower(emit, [x, values, places], node) {
    const [own] = node.inputs as [Tensor];
    const flat = flattened(emit, x!, own);
    const added = emit.node('ScatterElements', [flat, places!, values!], { axis: 0, reduction: 'add' });
    return own.shape.length === 1 ? added : emit.node('Reshape', [added, emit.shape(own.shape)]);
  },
});

/** x of any shape with values [k] added to single elements: places [k] (int32, row-major). Equal places add up. */
export function addAt(x: Tensor, values: Tensor, places: Tensor): Tensor {
  return addAtOp([x, values, places], null);
}

/**
 * How many elements `places` names. Flat places of 4 bytes: where single numbers of weights train there is one for each, and
 * one number per axis, of 8 bytes each as ScatterND wants them, would outweigh what trains.
 */
function placesIn(x: Tensor, places: Tensor): Dim {
  const [count, ...rest] = places.shape;
  if (places.dtype !== 'int32' || count === undefined || rest.length > 0) {
    throw new Error(`no places in ${shapeText(x.shape)} by ${places.dtype} ${shapeText(places.shape)}`);
  }
  return count;
}

/** A view of a tensor as one axis. */
function flattened(emit: Emitter, x: string, { shape }: Tensor): string {
  return shape.length === 1 ? x : emit.node('Reshape', [x, emit.shape([sizeOf(shape)])]);
}

function restOf(updates: Tensor, indices: Tensor): Shape {
  if (!sameShape(updates.shape.slice(0, indices.shape.length), indices.shape)) {
    throw new Error(`scatterAddRows: updates ${shapeText(updates.shape)} for indices ${shapeText(indices.shape)}`);
  }
  return updates.shape.slice(indices.shape.length);
}
