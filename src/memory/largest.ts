import type { ModelShape } from './modelShape.js';
import { planMemory } from './planMemory.js';
import type { MemoryRun } from './run.js';
import { requireWhole } from './storage.js';

/** What can be searched for. */
export type Quantity = 'batch' | 'length' | 'rank';

/** Beyond what anyone sets: where the search ends though memory would allow more. */
export const LARGEST_SEARCHED: Readonly<Record<Quantity, number>> = {
  batch: 2 ** 16,
  length: 2 ** 22,
  rank: 4096,
};

/** Whether a run's peak is at most `limitBytes` per device. */
export function fits(shape: ModelShape, run: MemoryRun, limitBytes: number): boolean {
  return planMemory(shape, run).total <= limitBytes;
}

/**
 * The largest batch, length or rank that fits, all else as it is: by bisection, since memory grows with each.
 * @param most where to stop, for instance the model's longest text; {@link LARGEST_SEARCHED} without it
 * @returns 0 where not even 1 fits; undefined for the rank of a run without low-rank pairs
 */
export function largestThatFits(
  shape: ModelShape,
  run: MemoryRun,
  limitBytes: number,
  quantity: Quantity,
  most: number = LARGEST_SEARCHED[quantity],
): number | undefined {
  requireWhole('most', most, 1);
  if (quantity === 'rank' && !run.methods.some(({ kind }) => kind === 'low-rank')) return undefined;
  const fitsWith = (value: number): boolean => fits(shape, withQuantity(run, quantity, value), limitBytes);
  const search = largestFitting(most);
  let asked = search.next();
  while (asked.done !== true) asked = search.next(fitsWith(asked.value));
  return asked.value;
}

/**
 * The search itself, for whoever can tell whether a value fits, at once or later: it yields values to try, is told of
 * each whether it fits, and returns the largest that does, 0 where not even 1 fits. What fits has to fit with less, too.
 *
 * Doubles until something does not fit, then halves what lies between.
 */
export function* largestFitting(most: number): Generator<number, number, boolean> {
  if (!(yield 1)) return 0;
  let fitting = 1;
  let tooMuch = 2;
  while (tooMuch < most && (yield tooMuch)) {
    fitting = tooMuch;
    tooMuch *= 2;
  }
  if (tooMuch >= most) {
    if (fitting === most || (yield most)) return most;
    tooMuch = most;
  }
  while (tooMuch - fitting > 1) {
    const middle = Math.floor((fitting + tooMuch) / 2);
    if (yield middle) fitting = middle;
    else tooMuch = middle;
  }
  return fitting;
}

/** The same run with another batch, length or rank of all its pairs. */
export function withQuantity(run: MemoryRun, quantity: Quantity, value: number): MemoryRun {
  if (quantity === 'batch') return { ...run, batch: value };
  if (quantity === 'length') return { ...run, length: value };
  return {
    ...run,
    methods: run.methods.map((method) => (method.kind === 'low-rank' ? { ...method, rank: value } : method)),
  };
}
