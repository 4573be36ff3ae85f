import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { checkedFisher } from './fisher.js';
import type { MethodInfo } from './info.js';
import { markLargest } from './largest.js';
import type { AttachContext, GradientPasses, Method, Prepared, StepPlace, Turn, TurnView } from './method.js';
import { rowWarnings } from './rowWarnings.js';
import { attachDeltas } from './sparseDelta.js';
import { sparseConfig, sparseFormat } from './sparseDeltaConfig.js';
import { changedPlaces, movedOn } from './sparseMoves.js';
import { keepRatio, keptCount, placesOf, preparedPlaces, sparseTargets } from './sparsePlaces.js';
import type { SparseTargets } from './sparsePlaces.js';
import { TargetOptions } from './targets.js';

/** FISH-DIP's options; defaults are those of the authors' code. */
export const FishDipOptions = Type.Object(
  {
    type: Type.Literal('fish_dip'),
    keep_ratio: keepRatio(0.01),
    subsequent_keep_ratio: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        description: 'The share from the first new choice on; without it, `keep_ratio`.',
      }),
    ),
    reevaluate_after_steps: Type.Integer({
      minimum: 1,
      default: 100,
      description: 'Steps after which the numbers that train are chosen anew.',
    }),
    num_samples: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Rows that a choice is made from, those with the highest loss; without it, a tenth of the number of batches in ' +
          'an epoch, at least 3 and at most 25.',
      }),
    ),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type FishDipOptions = Static<typeof FishDipOptions>;

const INFO: MethodInfo<typeof FishDipOptions> = {
  type: 'fish_dip',
  family: 'selective',
  place: 'learned',
  title: 'FISH-DIP',
  summary: 'FISH Mask chosen anew every so many steps, from the rows that the model does worst on at the time.',
  paper: {
    authors: 'Das, Zhang, Yuan, Yin & Zhang',
    year: 2023,
    title: 'Unified Low-Resource Sequence Labeling by Sample-Aware Dynamic Sparse Finetuning',
    arxiv: '2311.03748',
  },
  engines: ['embedded'],
  mergeable: true,
  guidesItself: true,
  options: FishDipOptions,
};

const PEFT_TYPE = 'FISH_DIP';

/** Beside the places: from how many rows they were found. */
const ROWS = '#rows';

/**
 * FISH-DIP (Das, Zhang, Yuan, Yin & Zhang 2023): as FISH Mask, the numbers with the largest empirical Fisher information
 * train, but it is taken from the rows with the highest loss under the present model, and anew every
 * `reevaluate_after_steps` steps. Gradients are taken row by row, squared and summed; dropout is off.
 *
 * - A row's loss is the mean over its supervised tokens. The authors' code divides by its padded length, which makes
 *   short rows look easy.
 * - A choice is made after every `reevaluate_after_steps` steps; the authors' code makes it one step earlier.
 * - A number that leaves the mask keeps what it learned, as in the authors' code, and stays there: neither momentum nor
 *   decay moves it on (in their code, which masks gradients alone, both do). What is saved are the differences of all
 *   numbers that ever moved.
 * - One that stays keeps its moments; a new one starts from zero moments, or from what it learned before. The optimizer's
 *   bias corrections go by the step of the run, as in PyTorch.
 */
export const fishDip: Method<typeof FishDipOptions> = {
  info: INFO,
  async prepare(options, context) {
    const targets = sparseTargets(INFO.type, options, context);
    const { marks, rows } = await chosen(options, targets, context, options.keep_ratio);
    return preparedPlaces(targets, marks, { [ROWS]: rows });
  },
  check(options, context) {
    const targets = sparseTargets(INFO.type, options, context);
    keptCount(options.keep_ratio, targets);
    keptCount(laterRatio(options), targets);
  },
  attach: (options, context) => ({
    ...attachDeltas(options, context, {
      ...INFO,
      config: sparseConfig(PEFT_TYPE, options, context),
      warnings:
        options.num_samples === undefined
          ? []
          : rowWarnings(options.num_samples, context.prepared?.get(ROWS)?.[0]),
    }),
    turnsAfter: ({ step, totalSteps }: StepPlace) =>
      step % options.reevaluate_after_steps === 0 && step < totalSteps,
    turn: (now: TurnView) => turn(options, context, now),
  }),
  peft: sparseFormat(PEFT_TYPE, INFO),
};

async function turn(options: FishDipOptions, context: AttachContext, now: TurnView): Promise<Turn> {
  const targets = sparseTargets(INFO.type, options, context);
  const before: Prepared = context.prepared ?? new Map();
  const { marks, rows } = await chosen(options, targets, now, laterRatio(options));
  const next = preparedPlaces(targets, marks, { [ROWS]: rows });
  const { step } = now.at;
  const { entered, left } = changedPlaces(before, next);
  return {
    ...movedOn([...targets.weights.values()], before, next, { ...now, instance: context.instance ?? '' }),
    says: l10n.t`After step ${step}, fish_dip chose anew from the ${rows} rows of highest loss: ${formatCount(entered)} numbers train now that did not, ${formatCount(left)} no longer do.`,
  };
}

/** The larger of the two shares: plans of memory go by it. */
export function largestRatio(options: Pick<FishDipOptions, 'keep_ratio' | 'subsequent_keep_ratio'>): number {
  return Math.max(options.keep_ratio, laterRatio(options));
}

function laterRatio({
  keep_ratio: first,
  subsequent_keep_ratio: later = first,
}: Pick<FishDipOptions, 'keep_ratio' | 'subsequent_keep_ratio'>): number {
  return later;
}

/** A mark for each number of the weights that is to train, and how many rows said so. */
async function chosen(
  options: FishDipOptions,
  targets: SparseTargets,
  passes: Pick<GradientPasses, 'rowLosses' | 'fisher'>,
  ratio: number,
): Promise<{ readonly marks: readonly Uint8Array[]; readonly rows: number }> {
  const names = [...targets.weights.keys()];
  const { losses, batches } = await passes.rowLosses();
  if (!losses.every(Number.isFinite)) {
    fail({
      code: 'method.fisher',
      message: l10n.t`the losses of single rows are not finite`,
      mend: l10n.t`Look for rows that give an infinite loss, or for weights that are not finite.`,
    });
  }
  const [hardest] = markLargest([losses], options.num_samples ?? sampleCount(batches));
  const rows = [...placesOf(hardest!)];
  const { squares } = await passes.fisher({ weights: names, rows, fisher: 'empirical' });
  const { parts } = checkedFisher(names, squares);
  return { marks: markLargest(parts, keptCount(ratio, targets)), rows: rows.length };
}

/** Rows that a choice is made from: a tenth of the batches, at least 3, at most 25. */
export function sampleCount(batches: number): number {
  return Math.min(25, Math.max(3, Math.floor(0.1 * batches)));
}
