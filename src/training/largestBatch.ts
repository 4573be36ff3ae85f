import { planBatches, predictionCount } from '../data/batches.js';
import type { BatchPlan } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import type { Masking } from '../data/masking.js';
import type { LargestBatch } from './events.js';
import type { TrainingJob } from './job.js';
import { plannedSteps } from './steps.js';

/** Epochs whose batches are looked at: each has an order of its own, and after some hardly a larger batch comes. */
const MAX_EPOCHS = 10;

/**
 * The largest batch that a run takes a step on: rows and length of the batch with the most tokens, padding included,
 * and the most supervised positions that any batch has.
 * @param job with its virtual tokens (`withVirtualTokens`)
 */
export function largestBatch(
  job: Pick<TrainingJob, 'train' | 'options' | 'packing' | 'maxLength' | 'masking'>,
): LargestBatch {
  const { per_device_train_batch_size: batchSize, gradient_accumulation_steps: accumulation, seed } = job.options;
  let largest: LargestBatch = { rows: 0, length: 0, supervised: 0 };
  let left = plannedSteps(job) * accumulation;
  for (let epoch = 0; left > 0 && epoch < MAX_EPOCHS; epoch++) {
    const batches = planBatches(job.train, { ...job, batchSize, seed, epoch });
    for (const batch of batches) {
      largest = larger(largest, sizesOf(batch, job.train, job.masking));
    }
    left -= Math.max(1, batches.length);
  }
  return largest;
}

/** The largest batch of an evaluation, as evaluate.ts makes them; undefined where nothing is held out. */
export function largestEvaluation({
  validation,
  options,
  maxLength,
  masking,
}: Pick<TrainingJob, 'validation' | 'options' | 'maxLength' | 'masking'>): LargestBatch | undefined {
  if (validation.length === 0) return undefined;
  const batchSize = options.per_device_eval_batch_size;
  return planBatches(validation, { batchSize, seed: 0, epoch: 0, packing: false, maxLength })
    .map((batch) => sizesOf(batch, validation, masking))
    .reduce(larger);
}

/** Rows of a batch, each with the examples that are packed into it. */
function sizesOf(batch: BatchPlan, examples: readonly Example[], masking: Masking | undefined): LargestBatch {
  return {
    rows: batch.length,
    length: lengthOf(batch, ({ ids }) => ids.length),
    supervised: batch.flat().reduce((sum, at) => sum + predictionCount(examples[at]!, masking), 0),
    ...sourceOf(lengthOf(batch, ({ source }) => source?.length ?? 0)),
  };

  function lengthOf(rows: BatchPlan, tokens: (example: Example) => number): number {
    return Math.max(...rows.map((row) => row.reduce((sum, at) => sum + tokens(examples[at]!), 0)));
  }
}

function sourceOf(length: number | undefined): Pick<LargestBatch, 'source'> {
  return length === undefined || length === 0 ? {} : { source: length };
}

/** The same of batches that are made. */
export function largestOf(batches: readonly Batch[]): LargestBatch {
  return batches
    .map(({ rows, length, targets, source }): LargestBatch => ({
      rows,
      length,
      supervised: targets.length,
      ...sourceOf(source?.length),
    }))
    .reduce(larger, { rows: 0, length: 0, supervised: 0 });
}

function larger(one: LargestBatch, other: LargestBatch): LargestBatch {
  const tokens = ({ rows, length, source = 0 }: LargestBatch): number => rows * (length + source);
  const most = tokens(other) > tokens(one) ? other : one;
  return { ...most, supervised: Math.max(one.supervised, other.supervised) };
}
