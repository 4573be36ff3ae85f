import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Method, StepPlace } from './method.js';
import { pruned } from './momentPruning.js';
import type { Pruning } from './momentPruning.js';
import { RestartedOptions, restartedLora } from './restartedLora.js';
import type { Cycle } from './restartedLora.js';
import type { OptionProblem } from './targets.js';

/** ReLoRA's options, under the names of its authors' code where it has them. */
export const ReLoraOptions = Type.Object(
  {
    type: Type.Literal('relora'),
    relora: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Steps from one merge to the next, and from one warm-up to the next. The last cycle is shorter where the steps do not divide. Default: a quarter of the steps.',
      }),
    ),
    restart_warmup_steps: Type.Optional(
      Type.Integer({
        minimum: 0,
        description:
          'Steps after each merge in which the learning rate rises from 0 to where the schedule is by then. Default: 100, or half a cycle where that is less.',
      }),
    ),
    r: Type.Integer({ minimum: 1, maximum: 4096, default: 128, description: 'Rank of the update of each cycle.' }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 32,
      description: 'Scale of the updates: ΔW = lora_alpha / r · B·A (lora_alpha / √r with `use_rslora`).',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0.1,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    reset_optimizer_on_relora: Type.Boolean({
      default: true,
      description: 'At a merge, 99.9 % of the optimizer’s numbers of A and B become 0, at random.',
    }),
    optimizer_random_pruning: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'This share becomes 0, at random; with `reset_optimizer_on_relora: false`.',
    }),
    optimizer_magnitude_pruning: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description:
        'This share becomes 0, those of smallest magnitude in each tensor; with `reset_optimizer_on_relora: false`.',
    }),
    ...RestartedOptions,
  },
  { additionalProperties: false },
);
export type ReLoraOptions = Static<typeof ReLoraOptions>;

/** Share of moments that a reset makes zero: all would be a restart of the optimizer. */
const RESET_SHARE = 0.999;

/** Cycles of a run whose file does not give their length, as in the authors' README: 20000 steps, 5000 each. */
const CYCLES = 4;

/** Steps of warm-up after a merge, as in the authors' README; short cycles do better with half of their steps than with few. */
const RESTART_WARMUP = 100;

/**
 * ReLoRA (Lialin, Shivagunde, Muckatira & Rumshisky 2023, algorithm 1): LoRA that is merged every `relora` steps and started
 * anew, so that the sum of the updates has a rank of up to k·r. At a merge A is drawn anew (Kaiming uniform, √5), B is zero,
 * and most of both moments of A and B become zero; the optimizer's bias corrections go by the step of the run, as in the
 * authors' code. See `restartedLora.ts` for where merged updates are kept.
 *
 * The learning rate is that of the run's schedule, but for the first steps after a merge, in which it rises in a line from 0 to
 * where the schedule is at the end of this warm-up. The authors' `cosine_restarts` is that on a cosine that ends
 * at `min_lr_ratio` 0.1: here `lr_scheduler_type: cosine_with_min_lr`.
 *
 * The authors' code merges one step later, after the step whose rate is 0. It asks for steps that the cycle divides;
 * here the last cycle is shorter else. With `keep_original_weights` it starts A at zero beside B, so that nothing trains before the first
 * merge; here A is drawn from the start, as in the paper. (A textbook draws B and sets A to zero.)
 */
export const relora: Method<typeof ReLoraOptions> = {
  info: {
    type: 'relora',
    family: 'low-rank',
    place: 'restarts',
    title: 'ReLoRA',
    summary: 'Merges its low-rank update every so many steps and starts anew, so that the sum is of higher rank.',
    paper: {
      authors: 'Lialin, Shivagunde, Muckatira & Rumshisky',
      year: 2023,
      title: 'ReLoRA: High-Rank Training Through Low-Rank Updates',
      arxiv: '2307.05695',
    },
    engines: ['embedded'],
    mergeable: true,
    guidesItself: true,
    options: ReLoraOptions,
  },
  attach(options, context) {
    const pruning = pruningOf(options);
    return restartedLora(options, context, {
      type: 'relora',
      cycleAt: (at) => cycleAt(options, at),
      optimizerAnew: false,
      slotAfter: (slot, numbers, { step }) =>
        pruning === undefined ? numbers : pruned(numbers, pruning, context.random('pruning', step, slot)),
      learningRate: (at, schedule) => sawTooth(options, at, schedule),
    });
  },
};

/** @throws ProblemError `relora.pruning` where two kinds are asked for */
function pruningOf(options: ReLoraOptions): Pruning | undefined {
  const { reset_optimizer_on_relora: resets } = options;
  const { optimizer_random_pruning: random, optimizer_magnitude_pruning: magnitude } = options;
  const asked: readonly (readonly [keyof ReLoraOptions, Pruning])[] = [
    ...(resets ? [['reset_optimizer_on_relora', { by: 'random', share: RESET_SHARE }] as const] : []),
    ...(random > 0 ? [['optimizer_random_pruning', { by: 'random', share: random }] as const] : []),
    ...(magnitude > 0 ? [['optimizer_magnitude_pruning', { by: 'magnitude', share: magnitude }] as const] : []),
  ];
  const [first, second] = asked;
  if (second !== undefined) {
    const problem: OptionProblem = {
      code: 'relora.pruning',
      message: l10n.t`${first![0]} and ${second[0]} both say what becomes of the optimizer’s numbers at a merge`,
      expected: l10n.t`one of reset_optimizer_on_relora, optimizer_random_pruning and optimizer_magnitude_pruning`,
      mend: resets
        ? l10n.t`Set reset_optimizer_on_relora: false, or ${second[0]}: 0.`
        : l10n.t`Set one of them to 0.`,
      option: [second[0]],
    };
    fail(problem);
  }
  return first?.[1];
}

/** Steps of a cycle. */
export function cycleLength({ relora: every }: Pick<ReLoraOptions, 'relora'>, totalSteps: number): number {
  return every ?? Math.max(1, Math.ceil(totalSteps / CYCLES));
}

/** The cycle that a step belongs to. */
function cycleAt(options: Pick<ReLoraOptions, 'relora'>, { step, totalSteps }: StepPlace): Cycle {
  const length = cycleLength(options, totalSteps);
  const started = Math.floor((step - 1) / length) * length;
  return { started, ends: Math.min(totalSteps, started + length) };
}

type Teeth = Pick<ReLoraOptions, 'relora' | 'restart_warmup_steps'>;

/** Steps of a warm-up after a merge. */
function restartWarmup(options: Teeth, totalSteps: number): number {
  return (
    options.restart_warmup_steps ?? Math.min(RESTART_WARMUP, Math.floor(cycleLength(options, totalSteps) / 2))
  );
}

function sawTooth(options: Teeth, at: StepPlace, schedule: (at: StepPlace) => number): number {
  const { step, totalSteps } = at;
  const { started } = cycleAt(options, at);
  const warmup = restartWarmup(options, totalSteps);
  // As in schedules, the first of the steps has rate 0.
  const taken = step - 1 - started;
  if (started === 0 || taken >= warmup) return schedule(at);
  return (taken / warmup) * schedule({ step: Math.min(totalSteps, started + warmup) + 1, totalSteps });
}

/** How often a run of so many steps merges. */
export function reloraMerges(options: Pick<ReLoraOptions, 'relora'>, totalSteps: number): number {
  return Math.ceil(totalSteps / cycleLength(options, totalSteps)) - 1;
}

/**
 * What of the cycles has no room in a run of so many steps: `relora.schedule`, `relora.warmup`.
 * @param atMost the run may have fewer steps
 */
export function reloraProblem(totalSteps: number, options: Teeth, atMost = false): Problem | undefined {
  const length = cycleLength(options, totalSteps);
  if (options.relora !== undefined && length >= totalSteps) {
    return {
      code: 'relora.schedule',
      message: atMost
        ? l10n.t`a run of at most ${totalSteps} steps ends before the first merge, after step ${length}`
        : l10n.t`a run of ${totalSteps} steps ends before the first merge, after step ${length}`,
      expected: l10n.t`relora below the number of steps`,
      mend: l10n.t`Lower relora, or leave it out: then there are four cycles.`,
    };
  }
  const { restart_warmup_steps: warmup } = options;
  if (warmup !== undefined && warmup >= length) {
    return {
      code: 'relora.warmup',
      message: l10n.t`the warm-up after a merge takes ${warmup} steps, and the next merge comes after ${length}: the learning rate never comes back to the schedule`,
      expected: l10n.t`restart_warmup_steps below ${length}`,
      mend: l10n.t`Lower restart_warmup_steps, or leave it out.`,
    };
  }
  return undefined;
}
