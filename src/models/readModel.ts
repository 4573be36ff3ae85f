import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Architecture, LanguageModel } from './architecture.js';
import { bert, roberta } from './bert.js';
import type { Checkpoint } from './checkpoint.js';
import { gemma } from './gemma.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { qwen } from './qwen.js';
import { t5 } from './t5.js';
import { peftTaskType } from './task.js';
import type { TaskType, WantedTask } from './task.js';

const ARCHITECTURES: readonly Architecture[] = [llama, qwen, gemma, gpt2, bert, roberta, t5];

/**
 * The model that a checkpoint holds, from its config and header alone.
 * @param wanted what it is to do; by default the first of what its type can do
 * @throws ProblemError `model.unsupported` naming the type found and those supported, or packed weights; `model.task-type`
 *   for a task that is not its type's; what the type's own reader throws
 */
export function readModel(
  checkpoint: Pick<Checkpoint, 'source' | 'config' | 'tensors'>,
  wanted: WantedTask = {},
): LanguageModel {
  const modelType = checkpoint.config['model_type'];
  const architecture = ARCHITECTURES.find((each) => each.modelTypes.includes(String(modelType)));
  if (architecture === undefined) {
    return fail({
      code: 'model.unsupported',
      message:
        modelType === undefined
          ? l10n.t`the model's type is not given (model_type in its config)`
          : l10n.t`the model's type is '${String(modelType)}' (model_type in its config)`,
      where: { file: checkpoint.source },
      expected: l10n.t`one of ${ARCHITECTURES.flatMap((each) => each.modelTypes).join(', ')}`,
      mend: l10n.t`Choose a model of one of these types.`,
    });
  }
  const packed = checkpoint.config['quantization_config'] ?? null;
  if (packed !== null) {
    // Their scales lie beside the weights, under names of their own.
    fail({
      code: 'model.unsupported',
      message: l10n.t`the weights are packed: quantization_config of the model's config is ${JSON.stringify(packed)}`,
      where: { file: checkpoint.source },
      expected: l10n.t`weights in F32, F16 or BF16, or a GGUF file`,
      mend: l10n.t`Use the model that this one was made from.`,
    });
  }
  const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
  const { kind, tasks } = architecture;
  const task = taskOf(wanted.type, tasks, String(modelType), checkpoint.source);
  const read = (config: JsonObject, sizes: ReadonlyMap<string, readonly number[]>): ArchitectureModel =>
    architecture.read(config, sizes, checkpoint.source, { ...wanted, type: task });
  const asIs = read(checkpoint.config, shapes);
  const { vocabulary = asIs.vocabSize } = wanted;
  const model =
    vocabulary === asIs.vocabSize
      ? asIs
      : read({ ...checkpoint.config, vocab_size: vocabulary }, withRows(shapes, asIs, vocabulary));
  return { ...model, kind, task, warnings: dropoutWarnings(checkpoint, architecture.dropouts) };
}

type ArchitectureModel = ReturnType<Architecture['read']>;

/** Shapes of a checkpoint whose embedding and output layer have so many rows. */
function withRows(
  shapes: ReadonlyMap<string, readonly number[]>,
  { sites, vocabSize }: ArchitectureModel,
  rows: number,
): ReadonlyMap<string, readonly number[]> {
  const named = sites.flatMap(({ kind, isOutput, shape, weight, bias }) =>
    (kind === 'embedding' || isOutput) && shape[0] === vocabSize ? [weight, bias] : [],
  );
  return new Map(
    [...shapes].map(([name, shape]) => [name, named.includes(name) ? [rows, ...shape.slice(1)] : shape]),
  );
}

/** What each `model_type` can do, the usual first. */
export function tasksOf(modelType: string): readonly TaskType[] {
  return ARCHITECTURES.find((each) => each.modelTypes.includes(modelType))?.tasks ?? [];
}

function taskOf(
  wanted: TaskType | null | undefined,
  tasks: Architecture['tasks'],
  modelType: string,
  source: string,
): TaskType {
  if (wanted === undefined) return tasks[0];
  if (wanted === null) return tasks.find((each) => peftTaskType(each) === null) ?? tasks[0];
  if (tasks.includes(wanted)) return wanted;
  return fail({
    code: 'model.task-type',
    message: l10n.t`the task is ${wanted}, and a model of type ${modelType} is not made for it`,
    where: { file: source },
    expected: tasks.length === 1 ? `task_type: ${tasks[0]}` : l10n.t`task_type: one of ${tasks.join(', ')}`,
    mend: l10n.t`Set task_type to what the model can do, or choose another model.`,
  });
}

/** Transformers' Trainer would apply the dropouts that a config asks for; here methods have dropout of their own. */
function dropoutWarnings(
  { config, source }: Pick<Checkpoint, 'source' | 'config'>,
  dropouts: Architecture['dropouts'],
): Problem[] {
  const asked = Object.entries(dropouts)
    .map(([key, absent]) => [key, config[key] ?? absent] as const)
    .filter(([, rate]) => rate !== 0);
  if (asked.length === 0) return [];
  return [
    {
      code: 'model.dropout',
      severity: 'warning',
      message: l10n.t`the model's config asks for dropout in training (${asked.map(([key, rate]) => `${key} ${JSON.stringify(rate)}`).join(', ')}), which is not applied`,
      where: { file: source },
      mend: l10n.t`Use the method's own dropout, such as lora_dropout, if you want one.`,
    },
  ];
}
