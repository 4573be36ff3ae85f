import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { StepPlace } from './method.js';
import type { Allocation } from './rankAllocation.js';

/** When AdaLoRA prunes, in HF PEFT's names; steps count from 1. */
export interface BudgetSchedule {
  /** Steps before the budget starts to fall. */
  readonly tinit: number;
  /** Steps at the end in which the budget stays and no rank changes. */
  readonly tfinal: number;
  /** Steps from one allocation to the next. */
  readonly deltaT: number;
}

/**
 * The budget after a step (Zhang et al. 2023, eq. 12), as HF PEFT has it: b₀ up to `tinit`, then cubic down to b_T,
 * which is reached at step T − `tfinal`. From there scores are kept and the triplets that were best then are masked in
 * every step.
 *
 * @param initial b₀, the triplets of all modules
 * @param target b_T
 * @throws ProblemError `adalora.schedule` when the run is too short for the budget to fall
 */
export function allocation(
  schedule: BudgetSchedule,
  initial: number,
  target: number,
  { step, totalSteps }: StepPlace,
): Allocation {
  const { tinit, tfinal, deltaT } = schedule;
  const last = totalSteps - tfinal;
  const problem = scheduleProblem(totalSteps, schedule);
  if (problem !== undefined) fail(problem);
  if (step <= tinit) return { budget: initial, allocates: false, scores: true };
  if (step >= last) return { budget: target, allocates: true, scores: false };
  const left = 1 - (step - tinit) / (last - tinit);
  return {
    budget: Math.trunc((initial - target) * left ** 3 + target),
    allocates: step % deltaT === 0,
    scores: true,
  };
}

/**
 * What is wrong with a schedule in a run of so many steps: `adalora.schedule` where it leaves none to prune in.
 *
 * @param atMost the run may have fewer steps
 */
export function scheduleProblem(
  totalSteps: number,
  { tinit, tfinal }: Pick<BudgetSchedule, 'tinit' | 'tfinal'>,
  atMost = false,
): Problem | undefined {
  if (tinit + tfinal < totalSteps) return undefined;
  return {
    code: 'adalora.schedule',
    message: atMost
      ? l10n.t`a run of at most ${totalSteps} steps leaves AdaLoRA none to prune in: tinit is ${tinit}, tfinal is ${tfinal}`
      : l10n.t`a run of ${totalSteps} steps leaves AdaLoRA none to prune in: tinit is ${tinit}, tfinal is ${tfinal}`,
    expected: l10n.t`tinit + tfinal below the number of steps`,
    mend: l10n.t`Lower tinit or tfinal of the method, or train for more steps.`,
  };
}
