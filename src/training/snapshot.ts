import type { Values } from '../methods/method.js';

/** Every number that a run changes, under names that do not depend on how they are kept: what a checkpoint holds. */
export interface Snapshot {
  /** Trainables by name; one that never trained is missing. */
  readonly values: Values;
  /** Optimizer slots as `TRAINABLE/SLOT`; a missing one is zero. */
  readonly slots: ReadonlyMap<string, Float32Array>;
  /** Methods' state tensors by name; a missing one is where its method has it start. */
  readonly state: ReadonlyMap<string, Float32Array>;
}

/** A run's beginning: everything where its method has it start. */
export function startSnapshot(values: Values = new Map()): Snapshot {
  return { values, slots: new Map(), state: new Map() };
}
