import { rm } from 'node:fs/promises';
import path from 'node:path';
import { modelCard } from '../adapters/card.js';
import { withClasses } from '../adapters/classConfig.js';
import { taskFolder } from '../adapters/taskFolders.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { writeModel } from '../adapters/writeModel.js';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { NamedTensor, SavedAdapter } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import { readGenerationConfig } from '../models/generationConfig.js';
import type { TensorToWrite } from '../models/writeSafetensors.js';
import type { TrainingResult } from '../training/job.js';
import { resultName } from './runFiles.js';
import { parameterNames } from './session.js';
import type { OpenedModel } from './session.js';

/**
 * Writes what a run learned into its folder: `adapter`, or `model` where weights of the base trained, or both where they
 * trained along with an adapter; of further methods `adapter-TYPE`. A method that keeps an adapter for each task has folders of theirs in it. What a run that was stopped had written there is replaced. Returns the first folder.
 *
 * @param warn told what the methods say of what they give
 * @param suffix behind the names, for results that are not the run's end
 */
export async function saveResult(
  folder: string,
  result: TrainingResult,
  opened: OpenedModel,
  warn: (problem: Problem) => void,
  suffix = '',
): Promise<string> {
  const { tokenizer, checkpoint } = opened;
  const written: string[] = [];
  for (const method of result.methods) {
    const saved = method.save(result.values);
    if (saved.kind === 'nothing') continue;
    const kind = saved.kind === 'model' ? 'model' : 'adapter';
    const placeOf = (what: 'adapter' | 'model'): string =>
      path.join(folder, `${resultName(what, method.type, written.length === 0)}${suffix}`);
    const target = placeOf(kind);
    if (saved.kind !== 'model') {
      const base = saved.base === undefined ? undefined : path.resolve(placeOf('model'));
      if (saved.base !== undefined) await writeTrained(placeOf('model'), saved.base, opened);
      const held = Object.entries(result.metrics).filter(([key]) => key.startsWith('eval_'));
      const card = modelCard({
        baseModel: base ?? checkpoint.source,
        method,
        task: opened.model.task,
        metrics: Object.fromEntries(held),
        steps: result.steps,
      });
      const folders = saved.kind === 'adapter' ? [[target, saved] as const] : inTaskFolders(target, saved.byTask);
      for (const [own, each] of folders) {
        each.warnings?.forEach(warn);
        const adapter = base === undefined ? each : onBase(each, base);
        await writeAdapter(own, adapter, { tokenizer, card, existing: 'replace' });
      }
      // A run that was stopped while all weights trained had left them there.
      if (saved.base === undefined) await rm(placeOf('model'), { recursive: true, force: true });
    } else {
      await writeTrained(target, saved.weights, opened);
    }
    written.push(target);
  }
  return written[0]!;
}

/** A model folder of weights that trained, and of the base's others. */
async function writeTrained(folder: string, weights: readonly NamedTensor[], opened: OpenedModel): Promise<void> {
  const nameOf = writtenName(opened.model);
  await writeModel(folder, {
    config: modelConfig(opened),
    generationConfig: await readGenerationConfig(opened.checkpoint.source),
    tensors: [
      ...weights.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
      ...untouched(weights, opened),
    ].map((tensor) => ({ ...tensor, name: nameOf(tensor.name) })),
    existing: 'replace',
    tokenizerFiles: await opened.tokenizer.files(),
  });
}

/** An adapter whose configs name another base model, a folder. */
function onBase(adapter: SavedAdapter, base: string): SavedAdapter {
  const renamed = (config: JsonObject): JsonObject => ({
    ...config,
    ...('model_name' in config ? { model_name: base } : {}),
    ...('base_model_name_or_path' in config ? { base_model_name_or_path: base, revision: null } : {}),
  });
  return {
    ...adapter,
    config: renamed(adapter.config),
    ...(adapter.parts === undefined
      ? {}
      : { parts: adapter.parts.map((part) => ({ ...part, config: renamed(part.config) })) }),
  };
}

/**
 * The config of a model that trained. A checkpoint without an output layer is tied whatever its config says; Transformers
 * goes by the config. A head for classes is tied to nothing.
 */
function modelConfig({ checkpoint: { config }, model: { classes, tiedHead } }: OpenedModel): JsonObject {
  return classes === undefined ? { ...config, tie_word_embeddings: tiedHead } : withClasses(config, classes);
}

/**
 * A tensor's name in a model that is written: its own, or its module's where a head was put on a bare backbone, since
 * Transformers takes names either all with the backbone's in front or all without.
 */
function writtenName({ classes, sites }: LanguageModel): (name: string) => string {
  if (classes === undefined) return (name) => name;
  const names = sites.flatMap(({ path, weight, bias }) => [
    [weight, `${path}.weight`] as const,
    [bias, `${path}.bias`] as const,
  ]);
  const byTensor = new Map(names);
  return (name) => byTensor.get(name) ?? name;
}

/** Where the adapter of each task is written. */
function inTaskFolders(
  folder: string,
  byTask: ReadonlyMap<string, SavedAdapter>,
): readonly (readonly [string, SavedAdapter])[] {
  return [...byTask].map(([task, adapter]) => [taskFolder(folder, task), adapter]);
}

/** The base's weights that did not train, read when their turn to be written comes. */
function untouched(weights: readonly NamedTensor[], { checkpoint, model }: OpenedModel): TensorToWrite[] {
  const trained = new Set(weights.map(({ name }) => name));
  return parameterNames(model)
    .filter((name) => !trained.has(name))
    .map((name) => ({
      name,
      dtype: 'F32',
      shape: checkpoint.tensors.get(name)!.shape,
      data: () => checkpoint.read(name),
    }));
}
