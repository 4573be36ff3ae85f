import { Type } from '@sinclair/typebox';
import type { Static, TObject } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { StepPlace } from './method.js';
import type { Allocation } from './rankAllocation.js';
import type { OptionProblem } from './targets.js';

/** Options of the pruning, under the names of the authors' code. */
export const PruningOptions = {
  start_prune_step_ratio: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0.15,
    description: 'Share of the run before components are pruned.',
  }),
  end_prune_step_ratio: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0.5,
    description: 'Share of the run after the last pruning, in which ranks stay.',
  }),
  prune_interval_step: Type.Integer({
    minimum: 1,
    default: 100,
    description:
      'Steps from one pruning to the next; the last one comes at the end of the pruning whatever this is. In short runs, a few.',
  }),
};

export type PruningOptions = Static<TObject<typeof PruningOptions>>;

/** Where a step lies in the pruning, which takes `length` steps: before it below 0. */
interface PruneStep {
  readonly done: number;
  readonly length: number;
}

/** Rounded toward zero both, as in the authors' code: the first pruning may come twice, and prunes none. */
function pruneStep(options: PruningOptions, { step, totalSteps }: StepPlace): PruneStep {
  const { start_prune_step_ratio: start, end_prune_step_ratio: end } = options;
  return {
    done: Math.trunc(step - totalSteps * start),
    length: Math.trunc(totalSteps * (1 - start - end)),
  };
}

/** Whether the pruning is over: from there the components that were left stay, and their variance costs nothing. */
export function isPruned(options: PruningOptions, at: StepPlace): boolean {
  const { done, length } = pruneStep(options, at);
  return done > length;
}

/**
 * How many components there may be after a step (Mao et al. 2024, as their code counts): all `start` of each pair, then by the
 * cube of the share of the pruning that is over fewer, `end` of each pair on average. Counted in whole components, so that the
 * last is exact. (The authors' code prunes one component, too, where that share is 0.)
 *
 * @throws ProblemError `dora-rank.schedule` when the run is too short for components to be pruned
 */
export function prunedAllocation(
  options: PruningOptions,
  { pairs, start, end }: { readonly pairs: number; readonly start: number; readonly end: number },
  at: StepPlace,
): Allocation {
  const problem = pruningProblem(at.totalSteps, options);
  if (problem !== undefined) fail(problem);
  const { done, length } = pruneStep(options, at);
  const share = Math.min(Math.max(done / length, 0), 1);
  return {
    budget: pairs * start - Math.trunc(pairs * (start - end) * share ** 3),
    allocates: done > length || (done >= 0 && (done % options.prune_interval_step === 0 || done === length)),
    scores: done <= length,
  };
}

/**
 * What is wrong with the pruning in a run of so many steps: `dora-rank.schedule` where there is no step for it.
 *
 * @param atMost the run may have fewer steps
 */
export function pruningProblem(totalSteps: number, options: PruningOptions, atMost = false): Problem | undefined {
  if (pruneStep(options, { step: 1, totalSteps }).length >= 1) return undefined;
  return {
    code: 'dora-rank.schedule',
    message: atMost
      ? l10n.t`a run of at most ${totalSteps} steps leaves dora_rank none to prune in`
      : l10n.t`a run of ${totalSteps} steps leaves dora_rank none to prune in`,
    expected: l10n.t`a share of 1 − start_prune_step_ratio − end_prune_step_ratio of the steps that is one step or more`,
    mend: l10n.t`Lower one of the two shares, or train for more steps.`,
  };
}

/** @throws ProblemError `dora-rank.ratios` when the shares leave nothing between them */
export function checkPruning({ start_prune_step_ratio: start, end_prune_step_ratio: end }: PruningOptions): void {
  if (start + end < 1) return;
  const problem: OptionProblem = {
    code: 'dora-rank.ratios',
    message: l10n.t`start_prune_step_ratio ${start} and end_prune_step_ratio ${end} leave nothing of the run to prune in`,
    expected: l10n.t`a sum below 1`,
    mend: l10n.t`Lower one of them: end_prune_step_ratio is the share of the run after the pruning, not where it ends.`,
    option: ['end_prune_step_ratio'],
  };
  fail(problem);
}
