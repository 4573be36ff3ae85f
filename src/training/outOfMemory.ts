import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount } from '../common/format.js';
import { messageOf, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { MemoryPlan, MomentName } from '../memory/plan.js';
import type { LargestBatch, Memory } from './events.js';
import { largestPredicted, residentText } from './memoryText.js';

/** What went on when memory ran out. */
export interface Circumstances {
  /** `step 7`; may follow "in". */
  readonly when: string;
  readonly moment: Extract<MomentName, 'preparing' | 'step' | 'evaluation'>;
  /** The largest of the batches that were gone through. */
  readonly batch?: LargestBatch;
  readonly plan?: MemoryPlan;
  /** As it was last. */
  readonly measured?: Memory;
  /** The step of the last checkpoint. */
  readonly checkpoint?: number;
  /** Why what was learned since could not be kept. */
  readonly notKept?: string;
}

/** Whether memory ran out: in ONNX Runtime, or in JavaScript for an array. */
export function isOutOfMemory(error: unknown): boolean {
  if (problemOf(error).code === OUT_OF_MEMORY) return true;
  return (
    error instanceof RangeError && /allocation failed|invalid (typed )?array( buffer)? length/i.test(error.message)
  );
}

export const OUT_OF_MEMORY = 'runtime.out-of-memory';

/** Says which part needed the memory, for what, what was held before, and what can be done. */
export function outOfMemory(error: unknown, at: Circumstances): Problem {
  const { when, moment, batch, plan, measured, checkpoint, notKept } = at;
  const predicted = plan === undefined ? [] : largestPredicted(plan, moment);
  const parts = [
    l10n.t`memory ran out in ${when}`,
    ...(batch === undefined ? [] : [l10n.t` with ${batchText(batch)}`]),
    ...(predicted.length > 0 ? [l10n.t`; predicted to need most there: ${predicted.join(', ')}`] : []),
    ...(measured === undefined ? [] : [l10n.t`; ${residentText(measured)}`]),
    l10n.t`; what could not be had: ${causeOf(error)}`,
  ];
  return {
    code: OUT_OF_MEMORY,
    message: parts.join(''),
    mend: [
      moment === 'evaluation'
        ? l10n.t`Lower per_device_eval_batch_size or max_length, or close other programs.`
        : l10n.t`Lower per_device_train_batch_size (gradient_accumulation_steps makes up for it) or max_length, or close other programs.`,
      ...(notKept === undefined ? [] : [l10n.t`What was learned since then could not be kept: ${notKept}.`]),
      checkpoint === undefined
        ? l10n.t`No checkpoint was written yet.`
        : l10n.t`The checkpoint of step ${checkpoint} is there: with the same options and more free memory Resume goes on from it.`,
    ].join(' '),
  };
}

function batchText({ rows, length, supervised }: LargestBatch): string {
  return l10n.t`a batch of ${rows} × ${length} tokens, ${formatCount(supervised)} of them supervised`;
}

/** What could not be had, out of ONNX Runtime's message where it is its; else the message's first line. */
function causeOf(error: unknown): string {
  const cause = messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  const bytes = /buffer of size (\d+)/.exec(cause)?.[1];
  const [, kind, name] = /while running (\w+) node\. Name:'([^']*)'/.exec(cause) ?? [];
  if (kind === undefined) return cause.split('\n')[0]!;
  // The C++ library's own refusal says no size.
  const buffer = bytes === undefined ? l10n.t`a buffer` : l10n.t`a buffer of ${formatBytes(Number(bytes))}`;
  return l10n.t`${buffer} for the result of ${kind} (node ${String(name)}) in ONNX Runtime`;
}
