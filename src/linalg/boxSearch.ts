import { cobyla } from './cobyla.js';
import type { Objective, Optimum } from './cobyla.js';

export interface Box {
  /** Where to begin: each number lies within the bounds. */
  readonly start: Float64Array;
  readonly lower: number;
  readonly upper: number;
}

/** COBYLA has converged when its steps are so many times the unit; then it begins anew where it found best. */
const CONVERGED = 1e-6;

/**
 * Minimizes over a box without derivatives, as nevergrad's Shiwa does with one worker, 7 to 30 numbers and fewer evaluations
 * than 30 for each (Liu et al. 2020, "Versatile Black-Box Optimization"; read in version 1.0.12): COBYLA in units of a sixth of the
 * box's width, begun anew from the best point until the budget is spent; what goes over a bound bounces back once.
 * @param budget how often the objective is asked, exactly
 */
export async function boxSearch(objective: Objective, box: Box, budget: number): Promise<Optimum> {
  const unit = (box.upper - box.lower) / 6;
  const pointOf = (steps: Float64Array): Float64Array =>
    box.start.map((each, at) => bounced(each + unit * steps[at]!, box));
  let best: Float64Array = new Float64Array(box.start.length);
  let value = Infinity;
  let left = budget;
  while (left > 0) {
    const found = await cobyla((steps) => objective(pointOf(steps)), {
      start: best,
      rhobeg: 1,
      rhoend: CONVERGED,
      budget: left,
    });
    left -= found.evaluations;
    if (found.value < value) ({ point: best, value } = found);
  }
  return { point: pointOf(best), value, evaluations: budget };
}

function bounced(number: number, { lower, upper }: Box): number {
  const clipped = Math.min(Math.max(number, lower), upper);
  return Math.min(Math.max(2 * clipped - number, lower), upper);
}
