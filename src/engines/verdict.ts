import type { MemoryPlan } from '../memory/plan.js';

/**
 * How a run stands with the memory that is free. What decides is its anonymous memory, which the system cannot take
 * back: pages of the weights' file are dropped under pressure and read again.
 *
 * - `fits`: all of it does.
 * - `slow`: its anonymous memory fits, but not the weights beside it: they are read from the disk again at each step.
 * - `barely`: its anonymous memory fits, but by less than the prediction may be wrong.
 * - `too-large`: its anonymous memory does not fit.
 */
export type Verdict = 'fits' | 'slow' | 'barely' | 'too-large';

/** What a run takes at most, in bytes; the two may be at different moments. */
export interface Need {
  readonly total: number;
  /** Without pages of files. */
  readonly anonymous: number;
}

/** A prediction is good to a tenth, so the last tenth of what is free is not counted on. */
export const COUNTED_ON = 0.9;

/** What a run needs by its plan. */
export function needOf({ total, moments, parts }: Pick<MemoryPlan, 'total' | 'moments' | 'parts'>): Need {
  const each = moments.length === 0 ? [parts] : moments.map((moment) => moment.parts);
  const anonymous = each.map((some) =>
    some.reduce((sum, { bytes, fileBacked }) => sum + (fileBacked === true ? 0 : bytes), 0),
  );
  return { total, anonymous: Math.max(...anonymous) };
}

/** @param free bytes */
export function verdictOf({ total, anonymous }: Need, free: number): Verdict {
  if (anonymous > free) return 'too-large';
  if (anonymous > COUNTED_ON * free) return 'barely';
  return total > free ? 'slow' : 'fits';
}

/** Whether a run can be counted on to go through, be it slowly. */
export function goesThrough(verdict: Verdict): boolean {
  return verdict === 'fits' || verdict === 'slow';
}
