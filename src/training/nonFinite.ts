import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { makeBatch, planBatches } from '../data/batches.js';
import type { Batch } from '../data/example.js';
import type { StepPlace, Values } from '../methods/method.js';
import { evaluationMasks, longestRow } from './job.js';
import type { TrainingJob } from './job.js';
import { firstNonFinite } from './firstNonFinite.js';

/** A step or an evaluation that gave a value that is not finite, explained by the first tensor that went wrong. */
export async function nonFinite(
  job: TrainingJob,
  when: string,
  numbers: string,
  state: { batches: readonly Batch[]; values: Values; dropoutSeed: number; at: StepPlace },
): Promise<Problem> {
  const tensor = await firstNonFinite({ ...job, positionLimit: longestRow(job), ...state });
  return {
    code: 'training.non-finite',
    message: l10n.t`${when}: ${tensor} is not finite (${numbers})`,
    mend: l10n.t`Lower learning_rate, add warm-up, or set max_grad_norm; if it is the result of a module before any step was taken, the checkpoint itself holds such values.`,
  };
}

/** An update can overflow after its loss and gradient were finite. */
export function overflow(values: Values, step: number): Problem | undefined {
  for (const [name, numbers] of values) {
    if (numbers.every(Number.isFinite)) continue;
    return {
      code: 'training.non-finite',
      message: l10n.t`step ${step}: the update made the trainable ${name} not finite`,
      mend: l10n.t`Lower learning_rate.`,
    };
  }
  return undefined;
}

/** The held-out rows as an evaluation takes them. */
export function evaluationBatches(job: TrainingJob): Batch[] {
  const plan = planBatches(job.validation, {
    batchSize: job.options.per_device_eval_batch_size,
    seed: 0,
    epoch: 0,
    packing: false,
    maxLength: job.maxLength,
  });
  return plan.map((rows, at) => makeBatch(job.validation, rows, evaluationMasks(job.masking, at)));
}
