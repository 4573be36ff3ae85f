import path from 'node:path';
import { modelCard } from '../adapters/card.js';
import { withClasses } from '../adapters/classConfig.js';
import { taskFolder } from '../adapters/taskFolders.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { writeModel } from '../adapters/writeModel.js';
import type { JsonObject } from '../common/json.js';
import type { SavedAdapter, SavedMethod } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import { readGenerationConfig } from '../models/generationConfig.js';
import type { TensorToWrite } from '../models/writeSafetensors.js';
import type { TrainingResult } from '../training/job.js';
import { resultName } from './runFiles.js';
import { parameterNames } from './session.js';
import type { OpenedModel } from './session.js';

/**
 * Writes what a run learned into its folder: `adapter`, or `model` where weights of the base trained; of further methods
 * `adapter-TYPE`. A method that keeps an adapter for each task has folders of theirs in it. What a run that was stopped had written there is replaced. Returns the first folder.
 *
 * @param suffix behind the names, for results that are not the run's end
 */
export async function saveResult(
  folder: string,
  result: TrainingResult,
  opened: OpenedModel,
  suffix = '',
): Promise<string> {
  const { tokenizer, checkpoint } = opened;
  const written: string[] = [];
  for (const method of result.methods) {
    const saved = method.save(result.values);
    if (saved.kind === 'nothing') continue;
    const kind = saved.kind === 'model' ? 'model' : 'adapter';
    const target = path.join(folder, `${resultName(kind, method.type, written.length === 0)}${suffix}`);
    if (saved.kind !== 'model') {
      const held = Object.entries(result.metrics).filter(([key]) => key.startsWith('eval_'));
      const card = modelCard({
        baseModel: checkpoint.source,
        method,
        task: opened.model.task,
        metrics: Object.fromEntries(held),
        steps: result.steps,
      });
      const folders = saved.kind === 'adapter' ? [[target, saved] as const] : inTaskFolders(target, saved.byTask);
      for (const [own, adapter] of folders) {
        await writeAdapter(own, adapter, { tokenizer, card, existing: 'replace' });
      }
    } else {
      const nameOf = writtenName(opened.model);
      await writeModel(target, {
        config: modelConfig(opened),
        generationConfig: await readGenerationConfig(checkpoint.source),
        tensors: [
          ...saved.weights.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
          ...untouched(saved, opened),
        ].map((tensor) => ({ ...tensor, name: nameOf(tensor.name) })),
        existing: 'replace',
        tokenizerFiles: await tokenizer.files(),
      });
    }
    written.push(target);
  }
  return written[0]!;
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
function untouched(
  { weights }: Extract<SavedMethod, { kind: 'model' }>,
  { checkpoint, model }: OpenedModel,
): TensorToWrite[] {
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
