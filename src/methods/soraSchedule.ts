import { Type } from '@sinclair/typebox';
import type { Static, TObject } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { idleOptions } from './idleOptions.js';
import type { StepPlace } from './method.js';
import type { OptionProblem } from './targets.js';

/** Options of ξ, under the names of SoRA's code. */
export const ThresholdOptions = {
  sparse_lambda_2: Type.Number({
    minimum: 0,
    default: 3e-4,
    description:
      'ξ: how far each step moves every gate toward 0, and within which it becomes 0. The larger, the lower the ranks; compare it with the learning rate.',
  }),
  lambda_schedule: Type.Optional(
    Type.Union([Type.Literal('linear'), Type.Literal('log_linear'), Type.Literal('exp_linear')], {
      description:
        'How ξ rises from `sparse_lambda_2` to `max_lambda` over the run, in `lambda_num` levels of as many steps each: `linear`; `exp_linear` by equal factors; `log_linear` by equal steps of e^ξ. Default: ξ stays.',
    }),
  ),
  max_lambda: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, description: 'The ξ of the last level, with `lambda_schedule`.' }),
  ),
  lambda_num: Type.Integer({
    minimum: 1,
    default: 10,
    description: 'How many levels of ξ there are, with `lambda_schedule`.',
  }),
};

export type ThresholdOptions = Static<TObject<typeof ThresholdOptions>>;

/**
 * ξ of a step. With a schedule it is the sparsifying scheduler of Ding et al. 2023: a level of sparsity after the
 * other in one run, each of which is trained on. (Their code trains the first level longer than the others.)
 *
 * @throws ProblemError `sora.schedule` for a schedule without an end, or one that does not rise
 */
export function threshold(options: ThresholdOptions, { step, totalSteps }: StepPlace): number {
  const { sparse_lambda_2: first, lambda_schedule: schedule, lambda_num: levels } = options;
  checkThreshold(options);
  if (schedule === undefined) return first;
  const last = options.max_lambda!;
  const level = Math.min(levels - 1, Math.floor((Math.max(0, step - 1) * levels) / totalSteps));
  const share = levels === 1 ? 0 : level / (levels - 1);
  const between = (from: number, to: number): number => from + (to - from) * share;
  switch (schedule) {
    case 'linear':
      return between(first, last);
    case 'log_linear':
      return Math.log(between(Math.exp(first), Math.exp(last)));
    case 'exp_linear':
      return Math.exp(between(Math.log(first), Math.log(last)));
  }
}

/** @throws ProblemError `sora.schedule` */
export function checkThreshold(options: ThresholdOptions): void {
  const { sparse_lambda_2: first, lambda_schedule: schedule, max_lambda: last } = options;
  const refuse = (problem: Omit<OptionProblem, 'code'>): never => {
    const whole: OptionProblem = { code: 'sora.schedule', ...problem };
    return fail(whole);
  };
  if (schedule === undefined) {
    if (last === undefined) return;
    refuse({
      message: l10n.t`max_lambda is given without a lambda_schedule that leads to it`,
      mend: l10n.t`Set lambda_schedule: linear, or remove max_lambda.`,
      option: ['max_lambda'],
    });
  } else if (last === undefined || last <= first) {
    refuse({
      message:
        last === undefined
          ? l10n.t`lambda_schedule: ${schedule} has no max_lambda to rise to`
          : l10n.t`max_lambda ${last} is not above sparse_lambda_2 ${first}`,
      expected: l10n.t`max_lambda above ${first}`,
      mend: l10n.t`Set max_lambda to the ξ of the last level, such as 7e-4.`,
      option: [last === undefined ? 'lambda_schedule' : 'max_lambda'],
    });
  } else if (schedule === 'exp_linear' && first === 0) {
    refuse({
      message: l10n.t`lambda_schedule: ${schedule} rises by equal factors, and sparse_lambda_2 is 0`,
      expected: l10n.t`sparse_lambda_2 above 0`,
      mend: l10n.t`Set lambda_schedule: linear, or a small sparse_lambda_2.`,
      option: ['sparse_lambda_2'],
    });
  }
}

/** Warnings of levels without a schedule, and of a schedule with one level, which ξ has from the start. */
export function idleThreshold(options: ThresholdOptions): OptionProblem[] {
  const { lambda_num, max_lambda } = ThresholdOptions;
  const { lambda_schedule: schedule, lambda_num: levels } = options;
  if (schedule === undefined) {
    const none = { option: 'lambda_schedule', value: 'none' };
    return idleOptions(options, { lambda_num }, none, 'lambda_schedule: linear');
  }
  if (levels > 1) return [];
  return idleOptions(options, { max_lambda }, { option: 'lambda_num', value: levels }, 'lambda_num: 2');
}
