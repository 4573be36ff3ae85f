import type { Value } from '../runtime/runtime.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import type { Variable } from '../tensor/tensor.js';
import type { MeasuredPart } from './events.js';

/**
 * The numbers that a run changes. Small ones have two buffers: a step reads one and writes the other, then they swap,
 * so that the values before a step stay at hand until the next. Large ones have one, which a step reads and writes:
 * its graph has to write after every read, and the old numbers where a step is not to be taken.
 */
export interface State {
  /** All buffers, by what they hold. */
  readonly bytes: Readonly<Record<HeldPart, number>>;
  /** Whether a variable has this name. */
  has(name: string): boolean;
  /** Present values, for a program's variables of these names. */
  feeds(names: Iterable<string>): Record<string, Value>;
  /** Where a step writes the new values. */
  targets(names: Iterable<string>): Record<string, Value>;
  /** Makes what was written present. */
  swap(names: Iterable<string>): void;
  /** Present numbers of one variable; valid until the second step from now, of one with a single buffer until the next. */
  read(name: string): Float32Array;
}

/** What numbers that a run changes can be. */
export type HeldPart = Extract<
  MeasuredPart,
  'changedWeights' | 'trainables' | 'gradients' | 'optimizer' | 'state'
>;

/** A variable of the state. */
export interface StateEntry {
  readonly variable: Variable;
  /** Its numbers at the start, which become the state's own; default: zeros. */
  readonly start?: Float32Array;
  readonly buffers: 1 | 2;
  readonly part: HeldPart;
}

export function createState(entries: readonly StateEntry[]): State {
  const buffers = new Map<string, { present: Value; other: Value }>();
  const bytes = { changedWeights: 0, trainables: 0, gradients: 0, optimizer: 0, state: 0 };
  for (const { variable, start, buffers: count, part } of entries) {
    const size = fixedSize(variable.shape);
    if (start !== undefined && start.length !== size) {
      throw new Error(`${variable.name} has ${size} numbers, ${start.length} were given`);
    }
    const value = (data: Float32Array): Value => ({
      dtype: 'float32',
      shape: fixedShape(variable.shape),
      data,
    });
    const present = value(start ?? new Float32Array(size));
    const other = count === 1 ? present : value(new Float32Array(size));
    buffers.set(variable.name, { present, other });
    bytes[part] += count * size * Float32Array.BYTES_PER_ELEMENT;
  }
  const at = (name: string): { present: Value; other: Value } => {
    const found = buffers.get(name);
    if (found === undefined) throw new Error(`no variable is named ${name}`);
    return found;
  };
  const pick = (names: Iterable<string>, which: 'present' | 'other'): Record<string, Value> =>
    Object.fromEntries([...names].map((name) => [name, at(name)[which]]));
  return {
    bytes,
    has: (name) => buffers.has(name),
    feeds: (names) => pick(names, 'present'),
    targets: (names) => pick(names, 'other'),
    swap(names) {
      for (const name of names) {
        const pair = at(name);
        [pair.present, pair.other] = [pair.other, pair.present];
      }
    },
    read: (name) => at(name).present.data as Float32Array,
  };
}
