import { sameShape } from '../tensor/dims.js';
import { broadcastShapes } from '../tensor/ops/elementwise.js';
import type { DType } from '../tensor/tensor.js';
import { executionOrder } from './executionOrder.js';
import type { ListedNode, ListedValue, NodeList } from './nodeList.js';

/**
 * When buffers are taken and given back while a graph runs, as ONNX Runtime's planner decides it for one stream
 * (allocation_planner.cc). It knows lengths by number or by name only, so that the plan holds for any batch.
 */
export interface BufferPlan {
  /**
   * In order: a value that gets a buffer of its own, or the complement of one whose buffer is given back. Results that
   * are handed buffers are not among them.
   */
  readonly events: Int32Array;
  /** The graph's values, and behind them what kernels take for themselves while they run. */
  readonly values: readonly ListedValue[];
}

export const BYTES_OF: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  int32: 4,
  int64: 8,
  uint32: 4,
  bool: 1,
};

/** Kernels that hand their first input on. */
const ALIASES = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Identity']);

/** Kernels of the CPU that may write over their first input when they are its last reader. */
const IN_PLACE = new Set([
  'Relu',
  'Sigmoid',
  'Tanh',
  'Cast',
  'Clip',
  'Softmax',
  'LogSoftmax',
  'ScatterElements',
  'ScatterND',
]);

/** @param handed results for which the caller hands in a buffer */
export function planBuffers(list: NodeList, handed: (result: string) => boolean): BufferPlan {
  const { nodes, results } = list;
  const values = [...list.values];
  const order = executionOrder(list);
  const bufferOf = Int32Array.from(values, (_, at) => at);
  const uses = new Int32Array(values.length);
  for (const { inputs, outputs } of nodes) {
    for (const value of inputs) uses[value]!++;
    // The node that makes a value counts as a user until it has run.
    for (const value of outputs) uses[value]!++;
  }
  const isHanded = new Set<number>();
  for (const [name, value] of results) {
    uses[value]!++;
    if (handed(name)) isHanded.add(value);
  }
  const isResult = new Set(results.values());
  values.forEach(({ from }, at) => {
    // What is not made here outlives the run.
    if (from !== 'node') uses[at]!++;
  });
  const events: number[] = [];
  /** Buffers that are idle, the last one first; by their rank and element size, since only equal ones are exchanged. */
  const idle = new Map<string, number[]>();
  const keyOf = ({ shape, dtype }: ListedValue): string =>
    `${BYTES_OF[dtype]} ${shape.map((length) => (typeof length === 'number' ? length : length.key)).join(' ')}`;
  /** When a buffer that was given back for another value to use is given back for good is known only in the end. */
  const lastUse = new Map<number, number>();
  const taken: number[][] = [];

  const sizesMatch = (a: ListedValue, b: ListedValue): boolean =>
    BYTES_OF[a.dtype] === BYTES_OF[b.dtype] && sameShape(a.shape, b.shape);
  const release = (value: number, at: number): void => {
    const buffer = bufferOf[value]!;
    if (--uses[buffer]! > 0) return;
    lastUse.set(buffer, at);
    const own = values[buffer]!;
    if (own.shape.length === 0) return;
    const key = keyOf(own);
    const known = idle.get(key);
    if (known === undefined) idle.set(key, [buffer]);
    else known.push(buffer);
  };
  const reuse = (value: number, other: number): void => {
    const buffer = bufferOf[other]!;
    bufferOf[value] = buffer;
    uses[buffer]! += uses[value]!;
  };

  order.forEach((node, at) => {
    const { opType, inputs, outputs } = nodes[node]!;
    const fresh: number[] = [];
    outputs.forEach((value, index) => {
      const first = inputs[0];
      const own = values[value]!;
      if (isResult.has(value)) {
        if (!isHanded.has(value)) fresh.push(value);
        return;
      }
      if (index === 0 && first !== undefined && ALIASES.has(opType)) return reuse(value, first);
      if (index === 0 && first !== undefined && IN_PLACE.has(opType)) {
        if (uses[bufferOf[first]!] === 1 && sizesMatch(values[first]!, own)) return reuse(value, first);
      }
      const same = own.shape.length === 0 ? undefined : idle.get(keyOf(own))?.pop();
      if (same !== undefined) return reuse(value, same);
      fresh.push(value);
    });
    taken[at] = fresh;
    for (const value of inputs) release(value, at);
    for (const value of outputs) release(value, at);
  });
  const freed: number[][] = order.length === 0 ? [] : Array.from(order, () => []);
  for (const [buffer, at] of lastUse) if (values[buffer]!.from === 'node') freed[at]!.push(buffer);
  order.forEach((node, at) => {
    const scratch = scratchOf(nodes[node]!, list.values).map((value) => values.push(value) - 1);
    events.push(...scratch, ...taken[at]!, ...scratch.map((value) => ~value));
    for (const buffer of freed[at]!) if (!isHanded.has(buffer)) events.push(~buffer);
  });
  return { events: Int32Array.from(events), values };
}

/** What a kernel of the CPU takes while it runs. `Where` picks from either side into tensors of their own. */
function scratchOf({ opType, inputs }: ListedNode, values: readonly ListedValue[]): ListedValue[] {
  if (opType !== 'Where') return [];
  const [condition, ...sides] = inputs.map((each) => values[each]!);
  return sides.map(({ dtype, shape }) => ({
    dtype,
    shape: broadcastShapes(condition!.shape, shape, opType),
    from: 'node',
  }));
}
