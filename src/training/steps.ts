import { random } from '../common/random.js';
import { makeBatch, planBatches } from '../data/batches.js';
import type { BatchPlan } from '../data/batches.js';
import type { Batch } from '../data/example.js';
import type { Masked } from '../data/masking.js';
import type { TrainingJob } from './job.js';

type Planned = Pick<TrainingJob, 'train' | 'options' | 'packing' | 'maxLength' | 'masking'>;

/** The batches of one optimizer step. */
export interface StepBatches {
  readonly micro: readonly Batch[];
  /** Passes over the data so far, this step included. */
  readonly epoch: number;
  readonly endsEpoch: boolean;
}

/** Optimizer steps of the first pass over the data; packed epochs may differ. */
export function stepsOfEpoch(job: Planned): number {
  return Math.ceil(epochPlan(job, 0).length / job.options.gradient_accumulation_steps);
}

/** Optimizer steps that a job will take. */
export function plannedSteps(job: Planned): number {
  const { max_steps: steps, num_train_epochs: epochs } = job.options;
  if (steps !== undefined) return steps;
  return Math.max(1, Math.ceil(stepsOfEpoch(job) * epochs));
}

/**
 * The batches of one optimizer step after another, epoch after epoch; packed epochs may differ in steps.
 * @param skip steps that were taken before
 */
export function* stepBatches(job: Planned, skip: number): Generator<StepBatches, never> {
  const { gradient_accumulation_steps: accumulation } = job.options;
  let before = 0;
  for (let epoch = 0; ; epoch++) {
    const plan = epochPlan(job, epoch);
    const steps = Math.ceil(plan.length / accumulation);
    const first = Math.max(1, skip - before + 1);
    before += steps;
    for (let taken = first; taken <= steps; taken++) {
      const micro = plan
        .slice((taken - 1) * accumulation, taken * accumulation)
        .map((rows, at) => makeBatch(job.train, rows, stepMasks(job, epoch, (taken - 1) * accumulation + at)));
      yield { micro, epoch: epoch + taken / steps, endsEpoch: taken === steps };
    }
  }
}

/** The masks of a batch of an epoch: drawn anew in each, and the same in a resumed run. */
export function stepMasks(
  { masking, options }: Pick<TrainingJob, 'masking' | 'options'>,
  epoch: number,
  batch: number,
): Masked | undefined {
  return masking && { masking, random: random(options.seed, 'masks', epoch, batch) };
}

function epochPlan(job: Planned, epoch: number): BatchPlan[] {
  return planBatches(job.train, {
    batchSize: job.options.per_device_train_batch_size,
    seed: job.options.seed,
    epoch,
    packing: job.packing,
    maxLength: job.maxLength,
  });
}
