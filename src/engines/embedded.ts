import * as l10n from '@vscode/l10n';
import packageJson from '../../package.json' with { type: 'json' };
import { describeProblem, fail, messageOf, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import { loadDataset } from '../data/loadDataset.js';
import type { Dataset } from '../data/loadDataset.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import { sampleSpans } from '../data/sample.js';
import type { Attached } from '../methods/method.js';
import type { HubOptions } from '../models/hub/context.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { readCheckpoint } from '../training/checkpoint.js';
import type { Coverage, RunEvent } from '../training/events.js';
import { measureMemory } from '../training/measureMemory.js';
import type { TrainingResult } from '../training/job.js';
import { withVirtualTokens } from '../training/job.js';
import { largestBatch, largestEvaluation } from '../training/largestBatch.js';
import { gradientPasses } from '../training/gradientPasses.js';
import { preparedMend, readPrepared, writePrepared } from '../training/preparedFiles.js';
import { plannedSteps } from '../training/steps.js';
import { train } from '../training/train.js';
import { withWeightWork } from '../training/weightWork.js';
import type { Engine, RunControl } from './engine.js';
import { adapterReader } from './adapterReader.js';
import { placedProblem } from './methodPlaces.js';
import { notePinned, pinnedModel } from './pinnedModel.js';
import { createRunFolder, openRunFolder, sweepRunFolder } from './runFolder.js';
import { headerOf, planOfRun, withSavings } from './runPlan.js';
import type { RunToPlan } from './runPlan.js';
import { STOPPED_EARLY_CODE } from './runState.js';
import { saveResult } from './saveResult.js';
import {
  attachMethods,
  checkHeldOut,
  checkTask,
  checkMethods,
  checkSchedules,
  checkTokenIds,
  knownClasses,
  maskingOf,
  openModel,
  parameterCount,
  positionWarnings,
  taskWarnings,
  prepareMethods,
  vocabularyWarnings,
  withLabels,
} from './session.js';
import type { OpenedModel } from './session.js';
import { openSteeredBase } from './steeredBase.js';
import { checkTasks } from './taskNames.js';
import { validationAnswers } from './validationAnswers.js';
import type { ValidationAnswers } from './validationAnswers.js';

/** Rows shown decoded before the first step. */
const SAMPLES = 2;

/** Our own engine: trains on ONNX Runtime in this process. */
export const embeddedEngine: Engine = async (run: LoadedRun, control: RunControl) => {
  const since = performance.now();
  const { config } = run;
  const { resume } = control;
  const hubWarnings: Problem[] = [];
  const hub: HubOptions = {
    progress: (progress) => control.emit({ type: 'progress', ...progress }),
    stopRequested: () => control.stopRequested() && fail(stoppedEarly()),
    warn: (warning) => hubWarnings.push(warning),
  };
  const source = (resume && (await pinnedModel(resume.folder))) ?? config.model;
  const base = await openModel(
    source,
    config.training.seed,
    { ...hub, folder: run.folder },
    { type: config.task_type },
  );
  const dataset = await loadDataset(config.data, base.tokenizer, {
    taskType: base.model.task,
    classes: knownClasses(base.model),
    folder: run.folder,
    seed: config.training.seed,
    hub,
  });
  const opened = withLabels(base, dataset.labels);
  checkTokenIds([...dataset.train, ...dataset.validation], opened);
  const context = { ...opened.context, tasks: dataset.tasks, readAdapter: adapterReader(run.folder) };
  checkHeldOut(config.training, dataset.validation.length, run.file);
  checkTask(config.training, opened.model, run.file);
  const plan = {
    train: dataset.train,
    options: config.training,
    packing: config.data.packing ?? false,
    ...maskingOf(opened),
    maxLength: config.data.max_length ?? DEFAULT_MAX_LENGTH,
  };
  const totalSteps = plannedSteps(plan);
  // A wrong target leaves no folder behind, nor does a schedule that does not fit; methods that prepare attach below, when the data have been gone through.
  checkMethods(config.method, context, run.placeOf);
  checkSchedules(config.method, totalSteps, run);
  checkTasks(config.method, dataset.tasks, totalSteps, run.file);
  const steered =
    config.proxy_tuning &&
    (await openSteeredBase(config.proxy_tuning, opened, () => onnxRuntime(config.runtime), {
      ...hub,
      folder: run.folder,
    }));
  if (resume !== undefined) await sweepRunFolder(resume.folder);
  const folder = resume === undefined ? await createRunFolder(config, new Date()) : openRunFolder(resume.folder);
  let waited = 0;
  const emit = (event: RunEvent): void => {
    if (event.type === 'continued') waited += event.seconds;
    if (event.type !== 'progress') folder.record(event);
    control.emit(event);
  };
  emit({
    type: 'started',
    time: new Date().toISOString(),
    version: packageJson.version,
    engine: 'embedded',
    config: run.file,
    folder: folder.path,
    model: config.model,
    method: config.method.map(({ type }) => type).join(' + '),
    totalSteps,
    seed: config.training.seed,
    ...(resume === undefined ? {} : { resumedFrom: resume.step }),
  });
  let toPlan: RunToPlan | undefined;
  let answers: ValidationAnswers | undefined;
  try {
    if (resume === undefined && opened.pinned !== undefined) await notePinned(folder.path, opened.pinned);
    describeData(dataset, opened.tokenizer, emit);
    const runtime = await onnxRuntime(config.runtime);
    const weights = await opened.checkpoint.mapped((done, total) => {
      if (control.stopRequested()) fail(stoppedEarly());
      emit({ type: 'progress', activity: l10n.t`Converting the weights to float32`, done, total });
    });
    const shared = { ...plan, model: opened.model, weights, runtime, emit, stopRequested: control.stopRequested };
    const prepared =
      resume === undefined
        ? await writePrepared(
            folder.path,
            await withWeightWork(
              runtime,
              emit,
              () => control.stopRequested() && fail(stoppedEarly()),
              (weightWork) =>
                prepareMethods(
                  config.method,
                  context,
                  (before) => gradientPasses({ ...shared, methods: before, stopped: stoppedEarly() }),
                  weightWork,
                ),
            ),
          )
        : await readPrepared(folder.path, preparedMend());
    const methods = attachMethods(config.method, context, prepared);
    steered?.check(methods, dataset.validation);
    emit({ type: 'progress', activity: l10n.t`Predicting the memory`, done: 0, total: 0 });
    const rows = withVirtualTokens({ ...shared, methods, validation: dataset.validation });
    toPlan = {
      config,
      opened: { ...opened, context },
      methods,
      batch: largestBatch(rows),
      heldOut: largestEvaluation(rows),
      steered: steered && headerOf(steered.base),
      rows,
    };
    const planned = await planOfRun(toPlan);
    emit(
      coverageOf(methods, opened, run, [
        ...(control.warnings ?? []),
        ...hubWarnings,
        ...dataset.warnings,
        ...taskWarnings(dataset.tasks, methods),
        ...positionWarnings([...dataset.train, ...dataset.validation], opened.model, methods),
        ...planned.warnings.map((warning) => ({ ...warning, where: { file: run.file } })),
      ]),
    );
    if (planned.event !== undefined) emit(planned.event);
    answers = validationAnswers({
      ...opened,
      ...shared,
      methods,
      validation: dataset.validation,
      ...(steered === undefined ? {} : { decoder: steered.decoder }),
    });
    const result = await train({
      ...shared,
      ...(answers === undefined ? {} : { generate: answers.answer }),
      ...(planned.event === undefined ? {} : { plan: planned.event.plan }),
      wishes: control.wishes,
      methods,
      attaching: {
        prepared,
        attach: (present) => attachMethods(config.method, context, present),
        covered: (anew) => ({ ...coverageOf(anew, opened, run, []), warnings: [], anew: true }),
      },
      validation: dataset.validation,
      checkpoints: {
        runFolder: folder.path,
        ...(resume === undefined ? {} : { from: await readCheckpoint(resume.checkpoint) }),
      },
    });
    if (result.reason === 'stopped' && result.steps === 0) fail(stoppedEarly());
    if (result.reason === 'failed') {
      fail(await withRescued(result.problem, folder.path, result, opened, warningsTo(emit)));
    }
    emit({ type: 'progress', activity: l10n.t`Saving`, done: 0, total: 0 });
    const adapter = await saveResult(folder.path, result, opened, warningsTo(emit));
    const small = { ...opened, ...shared, methods: result.methods, values: result.values };
    emit({
      type: 'finished',
      reason: result.reason,
      adapter,
      metrics: { ...result.metrics, ...(await steered?.evaluate(small, dataset.validation, shared)) },
      steps: result.steps,
      seconds: (performance.now() - since) / 1000 - waited,
      peakMemory: measureMemory().peakResident,
    });
  } catch (error) {
    const problem = await withSavings(problemOf(error), toPlan);
    // The worker reports it; the run's own record has to hold it too, unless that is what failed.
    try {
      folder.record({ type: 'failed', problem });
    } catch (second) {
      process.stderr.write(`events.jsonl: ${messageOf(second)}\n`);
    }
    fail(problem, error);
  } finally {
    await answers?.dispose();
  }
};

/** Its code makes the worker's exit code that of an interruption. */
export const stoppedEarly = (): Problem => ({
  code: STOPPED_EARLY_CODE,
  message: l10n.t`the run was stopped before its first step; nothing was learned and no adapter written`,
});

function warningsTo(emit: (event: RunEvent) => void): (problem: Problem) => void {
  return (problem) => {
    emit({ type: 'log', level: 'warning', message: describeProblem(problem) });
  };
}

/** Saves what was learned before a failure, and says where. */
async function withRescued(
  problem: Problem,
  folder: string,
  result: TrainingResult,
  opened: OpenedModel,
  warn: (problem: Problem) => void,
): Promise<Problem> {
  const finite = [...result.values.values()].every((numbers) => numbers.every(Number.isFinite));
  if (result.steps === 0 || !finite) return problem;
  const saved = await saveResult(folder, result, opened, warn, '-before-failure');
  return {
    ...problem,
    mend: l10n.t`${problem.mend ?? ''} What ${result.steps} steps had taught is in ${saved}.`.trim(),
  };
}

function describeData(dataset: Dataset, tokenizer: Tokenizer, emit: (event: RunEvent) => void): void {
  emit({ type: 'data', split: 'train', report: dataset.reports.train });
  if (dataset.reports.validation !== undefined) {
    emit({ type: 'data', split: 'validation', report: dataset.reports.validation });
  }
  for (const example of dataset.train.slice(0, SAMPLES)) {
    emit({
      type: 'sample',
      split: 'train',
      line: example.line,
      spans: sampleSpans(example, tokenizer, dataset.labels),
    });
  }
}

/** The classes that a head tells apart; it trains along with the first method. */
function classesOf(parts: readonly Attached['coverage'][]): Pick<Coverage, 'classes'> {
  const classes = parts.find((part) => part.classes !== undefined)?.classes;
  return classes === undefined ? {} : { classes };
}

/** Factors that several modules have in common, of all methods. */
function sharedOf(parts: readonly Attached['coverage'][]): Pick<Coverage, 'shared'> {
  const shared = parts.flatMap((part) => part.shared ?? []);
  return shared.length === 0 ? {} : { shared };
}

function coverageOf(
  methods: readonly Attached[],
  opened: OpenedModel,
  { config, placeOf }: Pick<LoadedRun, 'config' | 'placeOf'>,
  inputWarnings: readonly Problem[],
): Coverage {
  const parts = methods.map((method) => method.coverage);
  const modules = parts.flatMap((part) => part.modules);
  const trainable = modules.reduce((sum, each) => sum + each.trainable, 0);
  if (trainable === 0) {
    fail({
      code: 'targets.nothing',
      message: l10n.t`the methods of the run file train nothing`,
      mend: l10n.t`Check target_modules.`,
    });
  }
  return {
    type: 'coverage',
    targets: parts.flatMap((part) => part.targets),
    modules,
    ...sharedOf(parts),
    layersCovered: Math.max(...parts.map((part) => part.layersCovered)),
    layers: opened.model.layers,
    ...classesOf(parts),
    trainable,
    total: parameterCount(opened.model),
    saves: parts.map((part) => part.saves).reduce((told, more) => l10n.t`${told}; ${more}`),
    warnings: [
      ...parts.flatMap(({ warnings }, index) =>
        warnings.map((warning) => placedProblem(warning, index, config.method[index]!, placeOf)),
      ),
      ...(opened.model.warnings ?? []),
      ...vocabularyWarnings(opened.model, opened.tokenizer),
      ...inputWarnings,
    ],
  };
}
