import * as l10n from '@vscode/l10n';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import { adapterTask } from '../adapters/adapterTask.js';
import { attachAdapters, openAdapters } from '../engines/openAdapters.js';
import { openModel, vocabularyWarnings } from '../engines/session.js';
import type { OpenedModel } from '../engines/session.js';
import type { Attached, Values } from '../methods/method.js';
import type { Checkpoint, MappedWeights } from '../models/checkpoint.js';
import type { WantedTask } from '../models/task.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';

/** A base model, with an adapter where one is named; no weight of the base is read yet. */
export interface Adapted extends OpenedModel {
  readonly methods: readonly Attached[];
  readonly values: Values;
  /** The task that was asked for, by its place among those that the methods tell apart. */
  readonly rowTask: number;
}

/**
 * Opens a model and attaches an adapter, or all that a run wrote; warnings are printed.
 * @param folder where a relative path of the model starts
 * @param task what the model is to do, where no adapter says it
 * @param rowTask the task of the rows that are read, where an adapter tells tasks apart
 * @throws ProblemError of the model or the adapter
 */
export async function openAdapted(
  model: string,
  adapter: string | undefined,
  io: Io,
  folder = '.',
  task: WantedTask = {},
  rowTask?: string,
): Promise<Adapted> {
  // An adapter brings its own numbers: the seed of its start does not matter.
  const onDisk = adapter === undefined ? undefined : await openAdapters(adapter, rowTask);
  const wanted = onDisk === undefined ? task : { ...task, ...adapterTask(onDisk.adapters[0]) };
  const opened = await openModel(model, 0, { ...hubOf(io), folder }, wanted);
  for (const warning of vocabularyWarnings(opened.model, opened.tokenizer)) io.problem(warning);
  if (onDisk === undefined)
    return { ...opened, methods: [], values: new Map(), rowTask: taskIndex(rowTask, undefined) };
  const { methods, values, warnings } = await attachAdapters(onDisk, opened.context);
  for (const warning of [...onDisk.warnings, ...warnings]) io.problem(warning);
  return { ...opened, methods, values, rowTask: taskIndex(onDisk.task, tasksOf(methods)) };
}

/** The tasks that the methods tell apart; undefined where they tell none. */
export function tasksOf(methods: readonly Attached[]): readonly string[] | undefined {
  return methods.find(({ tasks }) => tasks !== undefined)?.tasks;
}

/**
 * Among these the task that is named, by its place.
 * @throws ProblemError `adapter.task` for one that the adapter does not hold
 */
function taskIndex(name: string | undefined, tasks: readonly string[] | undefined): number {
  if (name === undefined) return 0;
  const at = tasks?.indexOf(name) ?? -1;
  if (at >= 0) return at;
  const near = nearestName(name, tasks ?? []);
  return fail({
    code: 'adapter.task',
    message:
      tasks === undefined
        ? l10n.t`there is no adapter of the task "${name}" here`
        : l10n.t`the adapter does not hold the task "${name}"`,
    ...(tasks === undefined ? {} : { expected: l10n.t`one of ${tasks.map((task) => `"${task}"`).join(', ')}` }),
    mend:
      near === undefined
        ? l10n.t`Name the folder of an adapter that was trained with data.task_column.`
        : l10n.t`Did you mean "${near}"?`,
  });
}

/**
 * The base's weights as float32 in files; a conversion shows its progress.
 * @throws ProblemError of the checkpoint; `cli.interrupted`
 */
export async function mapWeights(checkpoint: Checkpoint, io: Io): Promise<MappedWeights> {
  const weights = await checkpoint.mapped((done, total) => {
    io.interrupt.check();
    io.progress.update({ activity: l10n.t`Converting the weights to float32`, done, total });
  });
  io.progress.end();
  return weights;
}
