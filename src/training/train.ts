import { random } from '../common/random.js';
import { fail } from '../common/problem.js';
import type { TrainingOptions } from '../config/schema.js';
import { makeBatch, planBatches } from '../data/batches.js';
import type { BatchPlan } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import type { Attached, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import { createEvaluator } from './evaluate.js';
import type { Metrics } from './evaluate.js';
import type { RunEvent } from './events.js';
import { measureMemory } from './measureMemory.js';
import { firstNonFinite } from './nonFinite.js';
import { learningRate } from './schedule.js';
import { createStepper, startValues } from './stepper.js';

/** Everything a training loop works on. */
export interface TrainingJob {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly options: TrainingOptions;
  readonly packing: boolean;
  readonly maxLength: number;
  /** Where the trainables start, when not where their method has them start. */
  readonly start?: Values;
  readonly emit: (event: RunEvent) => void;
  /** Asked between steps: true ends the loop after the present step. */
  readonly stopRequested: () => boolean;
}

export interface TrainingResult {
  readonly reason: 'completed' | 'stopped';
  readonly values: Values;
  readonly steps: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Optimizer steps that a job will take. */
export function plannedSteps(job: Pick<TrainingJob, 'train' | 'options' | 'packing' | 'maxLength'>): number {
  const { options } = job;
  return options.max_steps ?? Math.max(1, Math.ceil(stepsPerEpoch(job) * options.num_train_epochs));
}

/**
 * Trains: batches, steps, evaluations before the first step, on the way and at the end. The same job gives the
 * same numbers.
 *
 * @throws ProblemError `training.non-finite` at the first value that is not finite, naming step and tensor
 */
export async function train(job: TrainingJob): Promise<TrainingResult> {
  const { options, emit } = job;
  const positionLimit = longest([...job.train, ...job.validation]);
  const totalSteps = plannedSteps(job);
  emit({ type: 'progress', activity: 'Compiling the training step', done: 0, total: 0 });
  const start = job.start ?? (await startValues(job.methods.flatMap((method) => method.trainables)));
  const stepper = await createStepper({ ...job, start, positionLimit });
  const evaluation =
    job.validation.length === 0
      ? undefined
      : await createEvaluator({ ...job, positionLimit, batchSize: options.per_device_eval_batch_size });
  const metrics: Record<string, number> = {};

  const evaluate = async (step: number): Promise<void> => {
    if (evaluation === undefined) return;
    const since = performance.now();
    const found = await evaluation.evaluate(job.validation, stepper.values(), async (done, total) => {
      emit({ type: 'progress', activity: 'Evaluating', done, total });
      await breathe();
      return !job.stopRequested();
    });
    // Broken off by a stop: its numbers are those of some rows only.
    if (found.rows < job.validation.length) return;
    if (!Number.isFinite(found.loss)) {
      await failNonFinite(`the evaluation after step ${step}`, `loss ${found.loss}`, {
        batches: evaluationBatches(job, positionLimit),
        values: stepper.values(),
        dropoutSeed: 0,
      });
    }
    emit({ type: 'evaluation', step, split: 'validation', ...found, seconds: secondsSince(since) });
    Object.assign(metrics, metricsOf(step === 0 ? 'initial_eval' : 'eval', found));
  };

  const failNonFinite = async (
    when: string,
    numbers: string,
    state: { batches: readonly Batch[]; values: Values; dropoutSeed: number },
  ): Promise<never> => {
    const tensor = await firstNonFinite({ ...job, positionLimit, ...state });
    return fail({
      code: 'training.non-finite',
      message: `${when}: ${tensor} is not finite (${numbers})`,
      mend: 'Lower learning_rate, add warm-up, or set max_grad_norm; if it is the result of a module before any step was taken, the checkpoint itself holds such values.',
    });
  };

  try {
    await evaluate(0);
    reportMethods(job, stepper.values(), 0);
    let step = 0;
    let stopped = job.stopRequested();
    let evaluatedAt = 0;
    const batches = epochs(job, totalSteps);
    while (step < totalSteps && !stopped) {
      const next = batches.next();
      if (next.done) break;
      const { micro, epoch, endsEpoch } = next.value;
      step++;
      const since = performance.now();
      const rate = learningRate(options, step, totalSteps);
      const dropoutSeed = random(options.seed, 'dropout', step).integer(2 ** 31);
      const { loss, gradientNorm } = await stepper.step(micro, step, rate, dropoutSeed);
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
        const numbers = `loss ${loss}, gradient norm ${gradientNorm}, learning rate ${rate}`;
        await failNonFinite(`step ${step}`, numbers, { batches: micro, values: stepper.values(), dropoutSeed });
      }
      metrics['train_loss'] = loss;
      if (step % options.logging_steps === 0 || step === totalSteps) {
        emit({
          type: 'step',
          step,
          epoch,
          loss,
          learningRate: rate,
          gradientNorm,
          tokens: micro.reduce((sum, batch) => sum + batch.segments.filter((segment) => segment > 0).length, 0),
          supervisedTokens: micro.reduce((sum, batch) => sum + batch.targets.length, 0),
          rows: micro.reduce((sum, batch) => sum + batch.examples, 0),
          seconds: secondsSince(since),
        });
      }
      if (step === 1 || step % MEMORY_STEPS === 0 || step === totalSteps) {
        emit({
          type: 'memory',
          step,
          ...measureMemory(),
          parts: { ...stepper.parts, ...weightParts(job.weights) },
        });
      }
      await breathe();
      stopped = job.stopRequested();
      const due = options.eval_steps === undefined ? endsEpoch : step % options.eval_steps === 0;
      if (due && !stopped) {
        await evaluate(step);
        evaluatedAt = step;
        reportMethods(job, stepper.values(), step);
        stopped = job.stopRequested();
      }
    }
    if (!stopped && evaluatedAt !== step) {
      await evaluate(step);
      reportMethods(job, stepper.values(), step);
    }
    // An update can overflow after its loss and gradient were finite.
    for (const [name, numbers] of stepper.values()) {
      if (numbers.every(Number.isFinite)) continue;
      fail({
        code: 'training.non-finite',
        message: `step ${step}: the update made the trainable ${name} not finite`,
        mend: 'Lower learning_rate.',
      });
    }
    return {
      reason: stopped && step < totalSteps ? 'stopped' : 'completed',
      values: stepper.values(),
      steps: step,
      metrics,
    };
  } finally {
    await stepper.dispose();
    await evaluation?.dispose();
  }
}

/** A memory event every so many steps. */
const MEMORY_STEPS = 10;

/** The batches of one optimizer step after another, epoch after epoch; packed epochs may differ in steps. */
function* epochs(
  job: TrainingJob,
  totalSteps: number,
): Generator<{ micro: Batch[]; epoch: number; endsEpoch: boolean }, void> {
  const { gradient_accumulation_steps: accumulation } = job.options;
  for (let epoch = 0, step = 0; step < totalSteps; epoch++) {
    const plan = epochPlan(job, epoch);
    const steps = Math.ceil(plan.length / accumulation);
    for (let taken = 1; taken <= steps; taken++, step++) {
      const micro = plan
        .slice((taken - 1) * accumulation, taken * accumulation)
        .map((rows) => makeBatch(job.train, rows));
      yield { micro, epoch: epoch + taken / steps, endsEpoch: taken === steps };
    }
  }
}

function epochPlan(
  job: Pick<TrainingJob, 'train' | 'options' | 'packing' | 'maxLength'>,
  epoch: number,
): BatchPlan[] {
  return planBatches(job.train, {
    batchSize: job.options.per_device_train_batch_size,
    seed: job.options.seed,
    epoch,
    packing: job.packing,
    maxLength: job.maxLength,
  });
}

function stepsPerEpoch(job: Pick<TrainingJob, 'train' | 'options' | 'packing' | 'maxLength'>): number {
  return Math.ceil(epochPlan(job, 0).length / job.options.gradient_accumulation_steps);
}

function evaluationBatches(job: TrainingJob, maxLength: number): Batch[] {
  const plan = planBatches(job.validation, {
    batchSize: job.options.per_device_eval_batch_size,
    seed: 0,
    epoch: 0,
    packing: false,
    maxLength,
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

function metricsOf(prefix: string, found: Metrics): Record<string, number> {
  return {
    [`${prefix}_loss`]: found.loss,
    [`${prefix}_token_accuracy`]: found.tokenAccuracy,
    [`${prefix}_row_accuracy`]: found.rowAccuracy,
  };
}

function weightParts(weights: WeightFiles): Record<string, number> {
  let mapped = 0;
  for (const { length } of weights.tensors.values()) mapped += length;
  return { 'mapped weights': mapped };
}

/** Tokens of the longest example: what the position tables have to hold. */
export function longest(examples: readonly Example[]): number {
  return examples.reduce((most, example) => Math.max(most, example.ids.length), 1);
}

/** Lets messages (stop) arrive: a run of the graph holds the thread. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
