import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { Method, StepPlace } from './method.js';
import { RestartedOptions, restartedLora } from './restartedLora.js';
import type { Cycle } from './restartedLora.js';

/** COLA's options; there is no code of its authors. */
export const ColaOptions = Type.Object(
  {
    type: Type.Literal('cola'),
    chain_length: Type.Integer({
      minimum: 1,
      default: 3,
      description:
        'How many LoRAs are tuned, one after the other. The steps of the run are dealt out to them evenly.',
    }),
    r: Type.Integer({ minimum: 1, maximum: 4096, default: 8, description: 'Rank of each LoRA of the chain.' }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 16,
      description: 'Scale of the updates: ΔW = lora_alpha / r · B·A (lora_alpha / √r with `use_rslora`).',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    ...RestartedOptions,
  },
  { additionalProperties: false },
);
export type ColaOptions = Static<typeof ColaOptions>;

/**
 * COLA, Chain of LoRA (Xia, Qin & Hazan 2024, algorithm 1): a LoRA is tuned, merged ("tie a knot"), and the next one begins on
 * the residual ("extend the chain"), `chain_length` of them. Each is a fine-tuning of its own: A is drawn anew and B zero, the
 * optimizer begins anew, and the run's schedule, warm-up included, runs over the steps of each LoRA. See
 * `restartedLora.ts` for where merged updates are kept.
 *
 * A head of the task, and methods beside it in the run, keep their optimizer; the schedule is theirs too.
 */
export const cola: Method<typeof ColaOptions> = {
  info: {
    type: 'cola',
    family: 'low-rank',
    place: 'restarts',
    title: 'COLA',
    summary: 'Tunes a chain of LoRAs: each is merged, and the next learns what is left.',
    paper: {
      authors: 'Xia, Qin & Hazan',
      year: 2024,
      title: 'Chain of LoRA: Efficient Fine-tuning of Language Models via Residual Learning',
      arxiv: '2401.04151',
    },
    engines: ['embedded'],
    mergeable: true,
    guidesItself: true,
    options: ColaOptions,
  },
  attach: (options, context) =>
    restartedLora(options, context, {
      type: 'cola',
      cycleAt: (at) => linkAt(options, at),
      optimizerAnew: true,
      learningRate: (at, schedule) => {
        const { started, ends } = linkAt(options, at);
        return schedule({ step: at.step - started, totalSteps: ends - started });
      },
    }),
};

/** The part of a run in which one LoRA of the chain is tuned: as alike in length as whole steps allow. */
function linkAt(
  { chain_length: count }: Pick<ColaOptions, 'chain_length'>,
  { step, totalSteps }: StepPlace,
): Cycle {
  const start = (link: number): number => Math.round((link * totalSteps) / count);
  let link = 0;
  while (link < count - 1 && step > start(link + 1)) link++;
  return { started: start(link), ends: start(link + 1) };
}

/** How often a chain merges. */
export function colaMerges({ chain_length: count }: Pick<ColaOptions, 'chain_length'>): number {
  return count - 1;
}

/**
 * What is wrong with the chain in a run of so many steps: `cola.schedule` where a LoRA would have none.
 * @param atMost the run may have fewer steps
 */
export function colaProblem(
  totalSteps: number,
  { chain_length: count }: Pick<ColaOptions, 'chain_length'>,
  atMost = false,
): Problem | undefined {
  if (totalSteps >= count) return undefined;
  return {
    code: 'cola.schedule',
    message: atMost
      ? l10n.t`a run of at most ${totalSteps} steps is too short for a chain of ${count} LoRAs`
      : l10n.t`a run of ${totalSteps} steps is too short for a chain of ${count} LoRAs`,
    expected: l10n.t`at least ${count} steps, one for each of chain_length`,
    mend: l10n.t`Train for more steps, or lower chain_length.`,
  };
}
