import { planBatches } from '../data/batches.js';
import type { Batch } from '../data/example.js';
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
export function largestBatch(job: Pick<TrainingJob, 'train' | 'options' | 'packing' | 'maxLength'>): LargestBatch {
  const { per_device_train_batch_size: batchSize, gradient_accumulation_steps: accumulation, seed } = job.options;
  // A row's first token is never predicted.
  const supervised = job.train.map(
    (example) => example.supervised.slice(1).filter((counts) => counts === 1).length,
  );
  let largest: LargestBatch = { rows: 0, length: 0, supervised: 0 };
  let left = plannedSteps(job) * accumulation;
  for (let epoch = 0; left > 0 && epoch < MAX_EPOCHS; epoch++) {
    const batches = planBatches(job.train, { ...job, batchSize, seed, epoch });
    for (const batch of batches) {
      const lengths = batch.map((row) => row.reduce((sum, at) => sum + job.train[at]!.ids.length, 0));
      const own = {
        rows: batch.length,
        length: Math.max(...lengths),
        supervised: batch.flat().reduce((sum, at) => sum + supervised[at]!, 0),
      };
      largest = larger(largest, own);
    }
    left -= Math.max(1, batches.length);
  }
  return largest;
}

/** The same of batches that are made. */
export function largestOf(batches: readonly Batch[]): LargestBatch {
  return batches
    .map(({ rows, length, targets }): LargestBatch => ({ rows, length, supervised: targets.length }))
    .reduce(larger, { rows: 0, length: 0, supervised: 0 });
}

function larger(one: LargestBatch, other: LargestBatch): LargestBatch {
  const { rows, length } = other.rows * other.length > one.rows * one.length ? other : one;
  return { rows, length, supervised: Math.max(one.supervised, other.supervised) };
}
