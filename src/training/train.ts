import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import { makeBatch, planBatches } from '../data/batches.js';
import type { Batch } from '../data/example.js';
import type { Values } from '../methods/method.js';
import type { Metrics } from './evaluate.js';
import { createHeldOut, metricsOf } from './heldOut.js';
import { breathe, longestRow, secondsSince } from './job.js';
import type { TrainingJob, TrainingResult } from './job.js';
import { measureMemory } from './measureMemory.js';
import { firstNonFinite } from './nonFinite.js';
import { learningRate } from './schedule.js';
import { plannedSteps, stepBatches } from './steps.js';
import type { StepBatches } from './steps.js';
import { createStepper, startValues } from './stepper.js';

/** A memory event every so many steps. */
const MEMORY_STEPS = 10;

/**
 * Trains: batches, steps, evaluations before the first step, on the way and at the end. The same job gives the
 * same numbers. Ends with reason `failed` at the first value that is not finite, naming step and tensor; what was
 * learned before that step is in its values.
 */
export async function train(job: TrainingJob): Promise<TrainingResult> {
  const { options, emit } = job;
  const totalSteps = plannedSteps(job);
  emit({ type: 'progress', activity: 'Compiling the training step', done: 0, total: 0 });
  const stepper = await createStepper({
    ...job,
    start: job.start ?? (await startValues(job.methods.flatMap((method) => method.trainables))),
    positionLimit: longestRow(job),
  });
  const heldOut = await createHeldOut(job);
  let step = 0;
  let lossSum = 0;
  let initial: Metrics | undefined;
  let latest: { readonly step: number; readonly metrics: Metrics } | undefined;

  /** A problem when the loss on held-out rows is not finite. */
  const evaluate = async (): Promise<Problem | undefined> => {
    const metrics = await heldOut?.evaluate(step, stepper.values());
    if (metrics === undefined) return undefined;
    if (!Number.isFinite(metrics.loss)) {
      const state = { batches: evaluationBatches(job), values: stepper.values(), dropoutSeed: 0 };
      return nonFinite(job, `the evaluation after step ${step}`, `loss ${metrics.loss}`, state);
    }
    if (step === 0) initial = metrics;
    latest = { step, metrics };
    return undefined;
  };
  const result = (): Omit<TrainingResult, 'reason'> => ({
    values: stepper.values(),
    steps: step,
    metrics: {
      ...(initial === undefined ? {} : metricsOf('initial_eval', initial)),
      ...(step === 0 ? {} : { train_loss: lossSum / step }),
      // An older evaluation is not that of the result.
      ...(latest === undefined || latest.step !== step ? {} : metricsOf('eval', latest.metrics)),
    },
  });

  try {
    const broken = await evaluate();
    if (broken !== undefined) return { ...result(), reason: 'failed', problem: broken };
    reportMethods(job, stepper.values(), 0);
    const batches = stepBatches(job);
    while (step < totalSteps && !job.stopRequested()) {
      const next = batches.next().value;
      const since = performance.now();
      const rate = learningRate(options, step + 1, totalSteps);
      const dropoutSeed = random(options.seed, 'dropout', step + 1).integer(2 ** 31);
      const taken = await stepper.step(next.micro, step + 1, rate, dropoutSeed);
      if (!Number.isFinite(taken.loss) || !Number.isFinite(taken.gradientNorm)) {
        const numbers = `loss ${taken.loss}, gradient norm ${taken.gradientNorm}, learning rate ${rate}`;
        const state = { batches: next.micro, values: stepper.values(), dropoutSeed };
        return {
          ...result(),
          reason: 'failed',
          problem: await nonFinite(job, `step ${step + 1}`, numbers, state),
        };
      }
      step++;
      lossSum += taken.loss;
      const last = step === totalSteps;
      if (last || step % options.logging_steps === 0) {
        emit({
          type: 'step',
          step,
          learningRate: rate,
          ...countsOf(next),
          ...taken,
          seconds: secondsSince(since),
        });
      }
      if (last || step === 1 || step % MEMORY_STEPS === 0) {
        emit({ type: 'memory', step, ...measureMemory(), parts: stepper.parts });
      }
      await breathe();
      const due = options.eval_steps === undefined ? next.endsEpoch : step % options.eval_steps === 0;
      if ((due || last) && !job.stopRequested()) {
        const problem = await evaluate();
        if (problem !== undefined) return { ...result(), reason: 'failed', problem };
        reportMethods(job, stepper.values(), step);
      }
    }
    const overflown = overflow(stepper.values(), step);
    if (overflown !== undefined) return { ...result(), reason: 'failed', problem: overflown };
    return { ...result(), reason: step < totalSteps ? 'stopped' : 'completed' };
  } finally {
    await stepper.dispose();
    await heldOut?.dispose();
  }
}

/** What a step event says of its batches. */
function countsOf({ micro, epoch }: StepBatches): {
  epoch: number;
  tokens: number;
  supervisedTokens: number;
  rows: number;
} {
  const sum = (count: (batch: Batch) => number): number => micro.reduce((total, batch) => total + count(batch), 0);
  return {
    epoch,
    tokens: sum((batch) => batch.segments.reduce((tokens, segment) => tokens + (segment > 0 ? 1 : 0), 0)),
    supervisedTokens: sum((batch) => batch.targets.length),
    rows: sum((batch) => batch.examples),
  };
}

async function nonFinite(
  job: TrainingJob,
  when: string,
  numbers: string,
  state: { batches: readonly Batch[]; values: Values; dropoutSeed: number },
): Promise<Problem> {
  const tensor = await firstNonFinite({ ...job, positionLimit: longestRow(job), ...state });
  return {
    code: 'training.non-finite',
    message: `${when}: ${tensor} is not finite (${numbers})`,
    mend: 'Lower learning_rate, add warm-up, or set max_grad_norm; if it is the result of a module before any step was taken, the checkpoint itself holds such values.',
  };
}

/** An update can overflow after its loss and gradient were finite. */
function overflow(values: Values, step: number): Problem | undefined {
  for (const [name, numbers] of values) {
    if (numbers.every(Number.isFinite)) continue;
    return {
      code: 'training.non-finite',
      message: `step ${step}: the update made the trainable ${name} not finite`,
      mend: 'Lower learning_rate.',
    };
  }
  return undefined;
}

function evaluationBatches(job: TrainingJob): Batch[] {
  const plan = planBatches(job.validation, {
    batchSize: job.options.per_device_eval_batch_size,
    seed: 0,
    epoch: 0,
    packing: false,
    maxLength: job.maxLength,
  });
  return plan.map((rows) => makeBatch(job.validation, rows));
}

function reportMethods(job: TrainingJob, values: Values, step: number): void {
  for (const method of job.methods) {
    const sites = method.report?.(values) ?? [];
    const ranked = sites.flatMap(({ path, rank, scale, norm }) =>
      rank === undefined ? [] : [{ path, rank, scale, norm }],
    );
    if (ranked.length > 0) job.emit({ type: 'ranks', step, sites: ranked });
    const masked = sites.flatMap(({ path, density }) => (density === undefined ? [] : [{ path, density }]));
    if (masked.length > 0) job.emit({ type: 'masks', step, sites: masked });
  }
}
