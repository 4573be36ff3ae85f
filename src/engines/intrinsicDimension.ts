import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/** A metric of held-out rows and the value that a share of full fine-tuning means. */
export interface Goal {
  /** `eval_accuracy` */
  readonly metric: string;
  /** 0.9 for d90. */
  readonly share: number;
  /** Before training; of a loss only. */
  readonly start: number | undefined;
  /** After full fine-tuning. */
  readonly full: number;
  readonly target: number;
}

/** Whether less of a metric is better. */
export function falls(metric: string): boolean {
  return metric.endsWith('loss');
}

/** The better of two values. */
export function isBetter(metric: string, value: number, than: number): boolean {
  return falls(metric) ? value < than : value > than;
}

export function reaches({ metric, target }: Goal, value: number): boolean {
  return falls(metric) ? value <= target : value >= target;
}

/**
 * What a run has to reach: of an accuracy the share of full fine-tuning's (Li et al. 2018, d90; Aghajanyan et al. 2021); of a
 * loss the share of its fall, start − share · (start − full), since a loss has no zero that means nothing learned.
 *
 * @throws ProblemError `intrinsic.nothing-learned` where full fine-tuning did not lower the loss
 */
export function goalOf(metric: string, share: number, full: number, start: number | undefined): Goal {
  if (!falls(metric)) return { metric, share, start: undefined, full, target: share * full };
  if (start === undefined || !(full < start)) {
    return fail({
      code: 'intrinsic.nothing-learned',
      message: l10n.t`full fine-tuning leaves ${metric} at ${full}; before training it is ${start ?? NaN}`,
      expected: l10n.t`a loss that falls, of which a share can be reached`,
      mend: l10n.t`Give full fine-tuning a learning rate of its own, more steps, or another metric.`,
    });
  }
  return { metric, share, start, full, target: start - share * (start - full) };
}

/** What the search found. */
export interface Found {
  /** The smallest dimension tried that reaches the goal; undefined where none does. */
  readonly dimension: number | undefined;
  /** The largest dimension tried below it, which does not reach it; undefined where the smallest tried does. */
  readonly below: number | undefined;
}

/**
 * The smallest dimension that reaches a goal: a grid from below until one does, then the interval between it and the one
 * before it is halved, in the logarithm. Where more dimensions are not always better, it is the smallest along this way.
 *
 * @param dimensions the grid
 * @param halvings how often the interval is halved; it ends where no whole number is left between
 * @param attempt whether a dimension reaches the goal; undefined where it is more than the model has, which ends the grid
 */
export async function smallestDimension(
  dimensions: readonly number[],
  halvings: number,
  attempt: (dimension: number) => Promise<boolean | undefined>,
): Promise<Found> {
  let [below, dimension]: (number | undefined)[] = [undefined, undefined];
  for (const each of [...new Set(dimensions)].sort((a, b) => a - b)) {
    const reached = await attempt(each);
    if (reached === undefined) break;
    if (reached) {
      dimension = each;
      break;
    }
    below = each;
  }
  for (let left = halvings; left > 0 && dimension !== undefined && below !== undefined; left--) {
    const middle = Math.round(Math.sqrt(below * dimension));
    if (middle <= below || middle >= dimension) break;
    if ((await attempt(middle)) === true) dimension = middle;
    else below = middle;
  }
  return { dimension, below };
}
