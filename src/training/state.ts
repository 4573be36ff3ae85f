import type { Value } from '../runtime/runtime.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import type { Variable } from '../tensor/tensor.js';

/**
 * The numbers that a run changes, each in two buffers: a step reads one and writes the other, then they swap.
 * The values before a step thus stay at hand until the next one, which is how a non-finite step is explained.
 */
export interface State {
  readonly bytes: number;
  /** Present values, for a program's variables of these names. */
  feeds(names: Iterable<string>): Record<string, Value>;
  /** Where a step writes the new values. */
  targets(names: Iterable<string>): Record<string, Value>;
  /** Makes what was written present. */
  swap(names: Iterable<string>): void;
  /** Present numbers of one variable; valid until the second step from now. */
  read(name: string): Float32Array;
}

/** @param start numbers by name, which become the state's own; a variable without any starts at zero */
export function createState(variables: readonly Variable[], start: ReadonlyMap<string, Float32Array>): State {
  const buffers = new Map<string, { present: Value; other: Value }>();
  let bytes = 0;
  for (const variable of variables) {
    const size = fixedSize(variable.shape);
    const shape = fixedShape(variable.shape);
    const values = start.get(variable.name);
    if (values !== undefined && values.length !== size) {
      throw new Error(`${variable.name} has ${size} numbers, ${values.length} were given`);
    }
    const first = values ?? new Float32Array(size);
    buffers.set(variable.name, {
      present: { dtype: 'float32', shape, data: first },
      other: { dtype: 'float32', shape, data: new Float32Array(size) },
    });
    bytes += 2 * first.byteLength;
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
