import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { StepPlace } from './method.js';

/** What decides how the steps of a run are dealt out to the phases of lottery-ticket fine-tuning. */
export interface Phases {
  readonly n_ft_iterations: number;
  /** Of the steps of an iteration. */
  readonly full_ft_share: number;
}

/** One of the 2·n phases: first all numbers train (`full`), then those that were chosen (`sparse`). */
export interface PhasePlace {
  /** From 0. */
  readonly iteration: number;
  readonly kind: 'full' | 'sparse';
  /** Steps of the run that were taken before it. */
  readonly started: number;
  /** Steps of the run that were taken when it is over. */
  readonly ends: number;
}

/** The phase that a step belongs to. Iterations are as alike in length as whole steps allow; each phase has a step. */
export function phaseAt({ n_ft_iterations: count, full_ft_share: share }: Phases, at: StepPlace): PhasePlace {
  const start = (iteration: number): number => Math.round((iteration * at.totalSteps) / count);
  let iteration = 0;
  while (iteration < count - 1 && at.step > start(iteration + 1)) iteration++;
  const [from, to] = [start(iteration), start(iteration + 1)];
  const middle = from + Math.min(to - from - 1, Math.max(1, Math.round(share * (to - from))));
  return at.step <= middle
    ? { iteration, kind: 'full', started: from, ends: middle }
    : { iteration, kind: 'sparse', started: middle, ends: to };
}

/**
 * What is wrong with the phases in a run of so many steps: `lt-sft.schedule` where a phase would have none.
 * @param atMost the run may have fewer steps
 */
export function phaseProblem(
  totalSteps: number,
  { n_ft_iterations: count }: Pick<Phases, 'n_ft_iterations'>,
  atMost = false,
): Problem | undefined {
  if (totalSteps >= 2 * count) return undefined;
  return {
    code: 'lt-sft.schedule',
    message: atMost
      ? l10n.t`a run of at most ${totalSteps} steps is too short for ${2 * count} phases of LT-SFT`
      : l10n.t`a run of ${totalSteps} steps is too short for ${2 * count} phases of LT-SFT`,
    expected: l10n.t`at least ${2 * count} steps, two for each of n_ft_iterations`,
    mend: l10n.t`Train for more steps, or lower n_ft_iterations.`,
  };
}
