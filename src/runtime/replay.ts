import type { Dim } from '../tensor/dims.js';
import type { Constant } from '../tensor/tensor.js';
import type { Arena } from './arena.js';
import { BYTES_OF, planBuffers } from './bufferPlan.js';
import { listNodes } from './nodeList.js';
import type { ListedValue } from './nodeList.js';
import type { Outputs } from './runtime.js';
import { isFed } from './sharedLeaves.js';

/** A program as the runtime will see it, planned for any batch. */
export interface PlannedProgram {
  readonly nodes: number;
  /** Bytes of its own constants. */
  readonly constants: number;
  /** Bytes of those that are fed, so that programs share them, by a number that tells one from another. */
  readonly fedConstants: ReadonlyMap<number, number>;
  /** Weights that it maps, by name: their bytes. */
  readonly weights: ReadonlyMap<string, number>;
  /** Inputs and variables that it reads, by name. */
  readonly reads: ReadonlySet<string>;
  /** Bytes of the results that are written to buffers of the caller. */
  readonly handed: number;
  /** Bytes of inputs with axes that are of no batch, such as masks, by name. */
  readonly fixedInputs: ReadonlyMap<string, number>;
  /**
   * Runs it in an arena.
   * @param lengths what the named lengths are
   * @param groups how many kinds of values there are
   * @returns bytes per kind when most are in use
   */
  run(arena: Arena, lengths: Lengths, groups: number): Float64Array;
  /** Bytes that the kernel which takes most beside the arena takes while it runs. */
  besideArena(lengths: Lengths): number;
}

/** Lengths by name. */
export type Lengths = Readonly<Record<string, number>>;

/**
 * Plans a program's buffers.
 * @param groupOf the kind of a value with a buffer of its own
 * @param handed results that are written to buffers of the caller
 */
export function planProgram(
  outputs: Outputs,
  groupOf: (value: ListedValue) => number,
  handed: (result: string) => boolean,
): PlannedProgram {
  const list = listNodes(outputs);
  const { events, values } = planBuffers(list, handed);
  // Many values, few shapes.
  const sizes = new Map<string, SizedType>();
  const groups = new Uint8Array(values.length);
  const typeOf: (SizedType | undefined)[] = new Array<SizedType | undefined>(values.length);
  for (const at of events) {
    if (at < 0) continue;
    const value = values[at]!;
    const key = `${value.dtype} ${value.shape.map((length) => (typeof length === 'number' ? length : length.key)).join(' ')}`;
    const known = sizes.get(key) ?? { element: BYTES_OF[value.dtype], shape: value.shape, bytes: 0 };
    sizes.set(key, known);
    typeOf[at] = known;
    groups[at] = groupOf(value);
  }
  // ScatterElements of the CPU copies its places to 8 bytes each (scatter.cc, GetIndices).
  const places = list.nodes
    .filter(({ opType }) => opType === 'ScatterElements')
    .map(({ inputs }) => list.values[inputs[1]!]!.shape);
  const weights = new Map<string, number>();
  const reads = new Set<string>();
  const fixedInputs = new Map<string, number>();
  const fedConstants = new Map<number, number>();
  let constants = 0;
  for (const { from, dtype, shape, tensor } of list.values) {
    if (tensor?.kind === 'constant' && isFed(tensor)) {
      fedConstants.set(numberOf(tensor), bytesOf(dtype, shape));
    } else if (from === 'constant') constants += bytesOf(dtype, shape);
    if (tensor?.kind === 'weight') weights.set(tensor.name, bytesOf(dtype, shape));
    if (tensor?.kind === 'input' && shape.length > 0 && shape.every((length) => typeof length === 'number')) {
      fixedInputs.set(tensor.name, bytesOf(dtype, shape));
    }
    if (tensor?.kind === 'input' || tensor?.kind === 'variable') reads.add(tensor.name);
  }
  return {
    nodes: list.nodes.length,
    constants,
    fedConstants,
    weights,
    reads,
    handed: [...list.results]
      .filter(([name]) => handed(name))
      .reduce((sum, [, value]) => sum + bytesOf(list.values[value]!.dtype, list.values[value]!.shape), 0),
    fixedInputs,
    run(arena, lengths, kinds) {
      for (const type of sizes.values()) {
        type.bytes = sizeOf(type.shape, lengths, type.element);
      }
      const chunks = new Map<number, ReturnType<Arena['take']>>();
      const now = new Float64Array(kinds);
      let [total, most] = [0, -1];
      let atMost = now;
      for (const at of events) {
        const value = at < 0 ? ~at : at;
        const { bytes } = typeOf[value]!;
        if (at < 0) {
          arena.giveBack(chunks.get(value));
          chunks.delete(value);
          now[groups[value]!]! -= bytes;
          total -= bytes;
          continue;
        }
        chunks.set(value, arena.take(bytes));
        now[groups[value]!]! += bytes;
        total += bytes;
        if (total > most) {
          most = total;
          atMost = now.slice();
        }
      }
      // What the caller is given, it lets go.
      for (const chunk of chunks.values()) arena.giveBack(chunk);
      return atMost;
    },
    besideArena: (lengths) =>
      places.reduce((most, shape) => Math.max(most, sizeOf(shape, lengths, BYTES_OF.int64)), 0),
  };
}

/** Told apart without being kept: plans outlive their graphs. */
const numbers = new WeakMap<Constant, number>();
let numbered = 0;

function numberOf(constant: Constant): number {
  const known = numbers.get(constant) ?? numbered++;
  numbers.set(constant, known);
  return known;
}

interface SizedType {
  readonly element: number;
  readonly shape: readonly Dim[];
  /** With the lengths of the present run. */
  bytes: number;
}

function bytesOf(dtype: ListedValue['dtype'], shape: readonly Dim[]): number {
  return shape.reduce<number>((product, length) => product * Number(length), BYTES_OF[dtype]);
}

function sizeOf(shape: readonly Dim[], lengths: Lengths, element: number): number {
  return shape.reduce<number>((product, length) => product * valueOf(length, lengths), element);
}

/** A length with its names bound. */
export function valueOf(length: Dim, lengths: Lengths): number {
  if (typeof length === 'number') return length;
  return length.terms.reduce(
    (sum, { coefficient, symbols }) =>
      sum + symbols.reduce((product, symbol) => product * (lengths[symbol] ?? NaN), coefficient),
    0,
  );
}
