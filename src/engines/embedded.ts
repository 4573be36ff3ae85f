import path from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { modelCard } from '../adapters/card.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { writeModel } from '../adapters/writeModel.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import { loadDataset } from '../data/loadDataset.js';
import type { Dataset } from '../data/loadDataset.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import { sampleSpans } from '../data/sample.js';
import type { Attached, Values } from '../methods/method.js';
import { readGenerationConfig } from '../models/generationConfig.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import type { Coverage, RunEvent } from '../training/events.js';
import { measureMemory } from '../training/measureMemory.js';
import { plannedSteps, train } from '../training/train.js';
import type { TrainingResult } from '../training/train.js';
import type { Engine, RunControl } from './engine.js';
import { createRunFolder } from './runFolder.js';
import { attachMethods, checkTokenIds, openModel, parameterCount, vocabularyWarnings } from './session.js';
import type { OpenedModel } from './session.js';

/** Rows shown decoded before the first step. */
const SAMPLES = 2;

/** Our own engine: trains on ONNX Runtime in this process. */
export const embeddedEngine: Engine = async (run: LoadedRun, control: RunControl) => {
  const since = performance.now();
  const { config } = run;
  const opened = await openModel(config.model, config.training.seed);
  const dataset = await loadDataset(config.data, opened.tokenizer, {
    folder: run.folder,
    seed: config.training.seed,
  });
  checkTokenIds([...dataset.train, ...dataset.validation], opened);
  const methods = attachMethods(config.method, opened.context);
  const plan = {
    train: dataset.train,
    options: config.training,
    packing: config.data.packing ?? false,
    maxLength: config.data.max_length ?? DEFAULT_MAX_LENGTH,
  };
  const folder = await createRunFolder(config, new Date());
  const emit = (event: RunEvent): void => {
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
    method: methods.map((method) => method.type).join(' + '),
    totalSteps: plannedSteps(plan),
    seed: config.training.seed,
  });
  try {
    describeData(dataset, opened.tokenizer, emit);
    emit(coverageOf(methods, opened, [...(control.warnings ?? []), ...dataset.warnings]));
    const runtime = await onnxRuntime(config.runtime);
    const weights = await opened.checkpoint.mapped((done, total) =>
      emit({ type: 'progress', activity: 'Converting the weights to float32', done, total }),
    );
    const result = await train({
      ...plan,
      model: opened.model,
      methods,
      weights,
      runtime,
      validation: dataset.validation,
      emit,
      stopRequested: control.stopRequested,
    });
    emit({ type: 'progress', activity: 'Saving', done: 0, total: 0 });
    const adapter = await save(folder.path, methods, result, opened);
    emit({
      type: 'finished',
      reason: result.reason,
      adapter,
      metrics: result.metrics,
      steps: result.steps,
      seconds: (performance.now() - since) / 1000,
      peakMemory: measureMemory().peakResident,
    });
  } catch (error) {
    // The worker reports it; the run's own record has to hold it too.
    folder.record({ type: 'failed', problem: problemOf(error) });
    throw error;
  }
};

function describeData(dataset: Dataset, tokenizer: Tokenizer, emit: (event: RunEvent) => void): void {
  emit({ type: 'data', split: 'train', report: dataset.reports.train });
  if (dataset.reports.validation !== undefined) {
    emit({ type: 'data', split: 'validation', report: dataset.reports.validation });
  }
  for (const example of dataset.train.slice(0, SAMPLES)) {
    emit({ type: 'sample', split: 'train', line: example.line, spans: sampleSpans(example, tokenizer) });
  }
}

function coverageOf(
  methods: readonly Attached[],
  opened: OpenedModel,
  inputWarnings: readonly Problem[],
): Coverage {
  const parts = methods.map((method) => method.coverage);
  const modules = parts.flatMap((part) => part.modules);
  const trainable = modules.reduce((sum, each) => sum + each.trainable, 0);
  if (trainable === 0) {
    fail({
      code: 'targets.nothing',
      message: 'the methods of the run file train nothing',
      mend: 'Check target_modules.',
    });
  }
  return {
    type: 'coverage',
    targets: parts.flatMap((part) => part.targets),
    modules,
    layersCovered: Math.max(...parts.map((part) => part.layersCovered)),
    layers: opened.model.layers,
    trainable,
    total: parameterCount(opened.checkpoint),
    saves: parts.map((part) => part.saves).join('; '),
    warnings: [
      ...parts.flatMap((part) => part.warnings),
      ...vocabularyWarnings(opened.model, opened.tokenizer),
      ...inputWarnings,
    ],
  };
}

async function save(
  folder: string,
  methods: readonly Attached[],
  result: TrainingResult,
  opened: OpenedModel,
): Promise<string> {
  const { tokenizer, checkpoint } = opened;
  const written: string[] = [];
  for (const [at, method] of methods.entries()) {
    const saved = method.save(valuesOf(method, result.values));
    const name = saved.kind === 'adapter' ? 'adapter' : 'model';
    const target = path.join(folder, at === 0 ? name : `${name}-${method.type}`);
    if (saved.kind === 'adapter') {
      const card = modelCard({
        baseModel: checkpoint.source,
        method,
        metrics: result.metrics,
        steps: result.steps,
      });
      await writeAdapter(target, saved, { tokenizer, card });
    } else {
      await writeModel(target, {
        // A checkpoint without an output layer is tied whatever its config says; Transformers goes by the config.
        config: { ...checkpoint.config, tie_word_embeddings: opened.model.tiedHead },
        generationConfig: await readGenerationConfig(checkpoint.source),
        tensors: saved.weights.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
        tokenizerFiles: await tokenizer.files(),
      });
    }
    written.push(target);
  }
  return written[0]!;
}

function valuesOf(method: Attached, values: Values): Values {
  return new Map(method.trainables.map(({ variable: { name } }) => [name, values.get(name)!]));
}
