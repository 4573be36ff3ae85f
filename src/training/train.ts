import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { ProblemError, fail, messageOf } from '../common/problem.js';
import { random } from '../common/random.js';
import type { Batch } from '../data/example.js';
import type { StepPlace } from '../methods/method.js';
import { together } from '../runtime/together.js';
import { checkpointFolder, pruneCheckpoints, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { Memory } from './events.js';
import { fingerprintOf } from './fingerprint.js';
import { openFrozenOutputs, stillFrozen } from './frozenOutputs.js';
import type { FrozenOutputs } from './frozenOutputs.js';
import { createHeldOut, metricsOf } from './heldOut.js';
import type { HeldOut } from './heldOut.js';
import { breathe, longestRow, secondsSince, withVirtualTokens } from './job.js';
import type { TrainingJob, TrainingResult } from './job.js';
import { largestOf } from './largestBatch.js';
import { openLedger } from './ledger.js';
import type { Ledger } from './ledger.js';
import { createMemoryMeter } from './measureMemory.js';
import type { MemoryMeter } from './measureMemory.js';
import { evaluationBatches, nonFinite, overflow } from './nonFinite.js';
import { isOutOfMemory, outOfMemory } from './outOfMemory.js';
import type { Circumstances } from './outOfMemory.js';
import { refresh } from './refresh.js';
import { reportMethods } from './reportMethods.js';
import { rateAt } from './schedule.js';
import { startSnapshot } from './snapshot.js';
import type { Snapshot } from './snapshot.js';
import { createStepper } from './stepper.js';
import type { Stepper } from './stepper.js';
import { plannedSteps, stepBatches } from './steps.js';
import type { StepBatches } from './steps.js';
import { attachAnew, attachedAt, hasTurned, tellCoverage, turnsAfter } from './turns.js';
import { rest } from './wishes.js';

/** A memory event every so many steps. */
const MEMORY_STEPS = 10;

/**
 * Trains: batches, steps, evaluations before the first step, on the way and at the end, checkpoints. The same job gives
 * the same numbers, whether it runs through or goes on from a checkpoint. Ends with reason `failed` at the first value
 * that is not finite, naming step and tensor; what was learned before that step is in its values.
 *
 * @throws ProblemError `training.checkpoint-write`; `resume.other-job` when the checkpoint to go on from is another job's
 */
export async function train(given: TrainingJob): Promise<TrainingResult> {
  const started = withVirtualTokens(given);
  const totalSteps = plannedSteps(started);
  const fingerprint = fingerprintOf(started);
  const from = given.checkpoints?.from;
  if (from !== undefined && from.progress.fingerprint !== fingerprint) fail(otherJob());
  let now = attachedAt(started, from);
  let job = { ...started, methods: now.methods };
  if (hasTurned(now)) tellCoverage(job, started.methods, now.methods);
  let turned = from?.progress.turnedAfter;
  let step = from?.progress.step ?? 0;
  const ledger = openLedger(job.options, from?.progress.memory);
  const meter = createMemoryMeter([...job.weights.tensors.values()].map(({ file }) => file));
  let measured: Memory | undefined;
  let saved = from?.progress.step;
  /** Tells of memory that runs out in `work` what it was needed for. */
  const remembering = async <Result>(at: Circumstances, work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      const notKept = step > (saved ?? 0) ? await rescue(at.moment) : undefined;
      fail(outOfMemory(error, { ...at, plan: job.plan, measured, checkpoint: saved, notKept }), error);
    }
  };
  const frozen = await remembering(
    { when: l10n.t`computing the outputs of the frozen layers`, moment: 'preparing' },
    () => openFrozenOutputs(started),
  );
  const graphs = await remembering({ when: l10n.t`compiling the training step`, moment: 'preparing' }, () =>
    openGraphs(job, { step: step + 1, totalSteps }, meter, frozen),
  );
  const { emit } = job;
  const measure = (): void => {
    measured = { type: 'memory', step, ...meter.measure(graphs.stepper().held) };
    emit(measured);
  };

  /** A problem when the loss on held-out rows is not finite; `done` when it is time for an early end. */
  const evaluate = async (): Promise<Problem | 'done' | undefined> => {
    const heldOut = await graphs.heldOut();
    const when =
      step === 0 ? l10n.t`the evaluation before the first step` : l10n.t`the evaluation after step ${step}`;
    const metrics = await remembering(
      { when, moment: 'evaluation', batch: largestOf(evaluationBatches(job)) },
      async () => heldOut?.evaluate(step, graphs.stepper().values()),
    );
    reportMethods(job, graphs.stepper().values(), { step, totalSteps });
    if (metrics === undefined) return undefined;
    if (!Number.isFinite(metrics.loss)) {
      const state = {
        batches: evaluationBatches(job),
        values: graphs.stepper().values(),
        dropoutSeed: 0,
        at: { step, totalSteps },
      };
      return nonFinite(job, l10n.t`the evaluation after step ${step}`, l10n.t`loss ${metrics.loss}`, state);
    }
    const counts = job.methods.every((method) => method.isPassing !== true);
    const { improved, stop } = ledger.evaluated(step, metrics, counts);
    if (improved && job.options.load_best_model_at_end) await save();
    const rows = await job.generate?.(graphs.stepper().values(), job.stopRequested, job.methods);
    if (rows !== undefined) emit({ type: 'generations', step, rows });
    return stop ? 'done' : undefined;
  };
  const save = async (): Promise<void> => {
    if (job.checkpoints === undefined) return;
    const { runFolder } = job.checkpoints;
    emit({ type: 'progress', activity: l10n.t`Writing a checkpoint`, done: 0, total: 0 });
    const progress = {
      step,
      totalSteps,
      fingerprint,
      memory: ledger.toJson(),
      ...(turned === undefined ? {} : { turnedAfter: turned }),
    };
    const { prepared } = now;
    const folder = await writeCheckpoint(runFolder, { snapshot: graphs.stepper().snapshot(), progress, prepared });
    await pruneCheckpoints(runFolder, job.options.save_total_limit, bestStep(job, ledger));
    saved = step;
    emit({ type: 'checkpoint', step, folder });
  };
  /** A checkpoint of the last step after memory ran out; returns why there is none. */
  const rescue = async (moment: Circumstances['moment']): Promise<string | undefined> => {
    if (moment === 'step' && !graphs.stepper().isReversible) return l10n.t`the step had begun to write into it`;
    const problem = overflow(graphs.stepper().values(), step);
    if (problem !== undefined) return problem.message;
    return save().then(() => undefined, messageOf);
  };
  /** A checkpoint that is asked for in a pause; what cannot be written there fails the run when it goes on. */
  const checkpointNow = async (): Promise<void> => {
    const problem = overflow(graphs.stepper().values(), step);
    if (problem === undefined) await save();
    else emit({ type: 'log', level: 'error', message: l10n.t`No checkpoint is written: ${problem.message}.` });
  };
  /** Attaches the methods anew where one of them asks for it after the last step; says what is in the way. */
  const turn = async (): Promise<Problem | 'stopped' | undefined> => {
    const at = { step, totalSteps };
    if (step === 0 || turned === step || !turnsAfter(now, at)) return undefined;
    const problem = overflow(graphs.stepper().values(), step);
    if (problem !== undefined) return problem;
    emit({ type: 'progress', activity: l10n.t`Attaching the methods anew`, done: 0, total: 0 });
    const snapshot = graphs.stepper().snapshot();
    await graphs.letGo();
    const next = await attachAnew(given, now, at, snapshot).catch((error: unknown) => {
      if (isOutOfMemory(error) || !(error instanceof ProblemError)) throw error;
      return error.problem;
    });
    if (next === undefined) return 'stopped';
    if ('code' in next) return next;
    const anew = { ...job, methods: next.now.methods };
    await graphs.openAnew(anew, next.start, { step: step + 1, totalSteps });
    // Until it is compiled the run stands before the turn: so does a checkpoint that is written where memory runs out.
    [now, job, turned] = [next.now, anew, step];
    return undefined;
  };
  const result = (): Omit<TrainingResult, 'reason'> => ({
    values: graphs.stepper().values(),
    methods: job.methods,
    steps: step,
    metrics: ledger.metrics(step),
  });
  const failed = (problem: Problem): TrainingResult => ({ ...result(), reason: 'failed', problem });

  try {
    let ended: Problem | 'done' | undefined = step === 0 || ledger.owes(step) ? await evaluate() : undefined;
    measure();
    const batches = stepBatches(job, step);
    while (ended === undefined && step < totalSteps && !job.stopRequested()) {
      const place = { step: step + 1, totalSteps };
      const broken = await remembering(
        { when: l10n.t`attaching the methods anew after step ${step}`, moment: 'preparing' },
        turn,
      );
      if (broken === 'stopped') {
        if (saved !== step) await save();
        break;
      }
      if (broken !== undefined) return failed(broken);
      await graphs.prepare(place);
      const next = batches.next().value;
      const since = performance.now();
      const rate = rateAt(job.options, job.methods, place);
      const dropoutSeed = random(job.options.seed, 'dropout', place.step).integer(2 ** 31);
      const refreshing = await remembering(
        { when: l10n.t`making ready for step ${place.step}`, moment: 'preparing', batch: largestOf(next.micro) },
        () => refresh(job, graphs.stepper(), next.micro, place, dropoutSeed),
      );
      if (refreshing === 'stopped') {
        if (step > 0 && saved !== step) await save();
        break;
      }
      const taken = await remembering(
        { when: l10n.t`step ${place.step}`, moment: 'step', batch: largestOf(next.micro) },
        () => graphs.stepper().step(next.micro, place, rate, dropoutSeed),
      );
      if (!Number.isFinite(taken.loss) || !Number.isFinite(taken.gradientNorm)) {
        const numbers = l10n.t`loss ${taken.loss}, gradient norm ${taken.gradientNorm}, learning rate ${rate}`;
        const state = { batches: next.micro, values: graphs.stepper().values(), dropoutSeed, at: place };
        return failed(await nonFinite(job, l10n.t`step ${place.step}`, numbers, state));
      }
      step++;
      ledger.stepped(taken.loss);
      const last = step === totalSteps;
      if (last || step % job.options.logging_steps === 0) {
        const seconds = secondsSince(since);
        emit({ type: 'step', step, learningRate: rate, ...countsOf(next), ...taken, seconds });
      }
      if (last || step === 1 || step % MEMORY_STEPS === 0) {
        measure();
      }
      const evaluates = isDue(job.options.eval_steps, step, next) || last;
      if (evaluates) ledger.owe(step);
      await breathe();
      if (!last) await rest(job, step, checkpointNow);
      if (evaluates && !job.stopRequested()) ended = await evaluate();
      else if (turned === step - 1 || job.methods.some((method) => method.reportsAfter?.(place))) {
        reportMethods(job, graphs.stepper().values(), place, turned !== step - 1);
      }
      const asked = job.wishes?.checkpoint() === true;
      const due = isDue(job.options.save_steps, step, next) || last;
      const saves = due || asked || ended === 'done' || job.stopRequested();
      if (!saves && ended === undefined) continue;
      const problem = typeof ended === 'object' ? ended : overflow(graphs.stepper().values(), step);
      if (problem !== undefined) return failed(problem);
      await save();
    }
    if (typeof ended === 'object') return failed(ended);
    if (step < totalSteps && ended === undefined) return { ...result(), reason: 'stopped' };
    return {
      ...(await bestOf(started, ledger, result())),
      reason: step < totalSteps ? 'early-stopped' : 'completed',
    };
  } finally {
    await graphs.letGo();
    await frozen?.close();
  }
}

const otherJob = (): Problem => ({
  code: 'resume.other-job',
  message: l10n.t`the data or the options are no longer those of the run that wrote the checkpoint`,
  mend: l10n.t`Put back what was changed (rows, model, tokenizer), or start a new run: going on would mix two trainings.`,
});

/** The compiled graphs of a run, which are built anew when a method asks for it. */
interface Graphs {
  stepper(): Stepper;
  /** Undefined without held-out rows. */
  heldOut(): Promise<HeldOut | undefined>;
  /** Makes ready for a step. */
  prepare(place: StepPlace): Promise<void>;
  /** Lets go of what was compiled; the stepper's numbers can still be read. */
  letGo(): Promise<void>;
  /** Compiles for the job as it is now, from these numbers. */
  openAnew(job: TrainingJob, start: Snapshot, place: StepPlace): Promise<void>;
}

async function openGraphs(
  first: TrainingJob,
  place: StepPlace,
  meter: MemoryMeter,
  frozen: FrozenOutputs | undefined,
): Promise<Graphs> {
  let job = first;
  /** Every method is asked, whatever the one before it says. */
  const needsRebuild = (next: StepPlace): boolean =>
    job.methods.map((method) => method.beforeStep?.(next)).includes('rebuild');
  job.emit({ type: 'progress', activity: l10n.t`Compiling the training step`, done: 0, total: 0 });
  needsRebuild(place);
  const positionLimit = longestRow(job);
  // Training and evaluation share one mapping of the weights, and memory. A graph that is built anew is on its own.
  const runtime = together(job.runtime, job.weights);
  const joint = { ...job, runtime };
  let kept = stillFrozen(frozen, job);
  let stepper = await createStepper({
    ...joint,
    frozen: kept?.train,
    start: job.checkpoints?.from?.snapshot ?? startSnapshot(job.start),
    positionLimit,
  });
  let heldOut = await createHeldOut(joint, kept?.validation);
  await meter.native(() => runtime.ready());
  let isOpen = true;
  const letGo = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await stepper.dispose();
    await heldOut?.dispose();
    heldOut = undefined;
  };
  const open = async (start: Snapshot): Promise<void> => {
    kept = stillFrozen(frozen, job);
    stepper = await createStepper({ ...job, frozen: kept?.train, start, positionLimit });
    isOpen = true;
  };
  return {
    stepper: () => stepper,
    heldOut: async () => (heldOut ??= await createHeldOut(job, kept?.validation)),
    async prepare(next) {
      if (!needsRebuild(next)) return;
      const start = stepper.snapshot();
      await letGo();
      await open(start);
    },
    letGo,
    async openAnew(now, start, next) {
      job = now;
      // What has just been attached stands at its beginning.
      needsRebuild(next);
      await open(start);
    },
  };
}

/** @param every so many steps; undefined: at the end of each epoch */
function isDue(every: number | undefined, step: number, { endsEpoch }: StepBatches): boolean {
  return every === undefined ? endsEpoch : step % every === 0;
}

/** The step of the checkpoint that has to outlive newer ones. */
function bestStep(job: TrainingJob, ledger: Ledger): number | undefined {
  return job.options.load_best_model_at_end ? ledger.best()?.step : undefined;
}

/** The result, or that of the best evaluation where the options ask for it. */
async function bestOf(
  job: TrainingJob,
  ledger: Ledger,
  result: Omit<TrainingResult, 'reason'>,
): Promise<Omit<TrainingResult, 'reason'>> {
  const step = bestStep(job, ledger);
  if (step === undefined || step === result.steps || job.checkpoints === undefined) return result;
  const best = await readCheckpoint(checkpointFolder(job.checkpoints.runFolder, step));
  job.emit({
    type: 'log',
    level: 'info',
    message: l10n.t`The result is that of step ${step}, the best evaluation.`,
  });
  return {
    ...result,
    values: new Map([...best.snapshot.values, ...best.snapshot.state]),
    methods: attachedAt(job, best).methods,
    metrics: { ...result.metrics, ...metricsOf('eval', ledger.best()!.metrics) },
  };
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
    tokens: sum((batch) => tokensOf(batch.segments) + tokensOf(batch.source?.segments ?? new Int32Array())),
    supervisedTokens: sum((batch) => batch.targets.length),
    rows: sum((batch) => batch.examples),
  };
}

/** Without padding. */
function tokensOf(segments: Int32Array): number {
  return segments.reduce((tokens, segment) => tokens + (segment > 0 ? 1 : 0), 0);
}
