import * as l10n from '@vscode/l10n';
import { ProblemError, fail, isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { RunConfig } from '../config/schema.js';
import { estimateRun } from '../engines/estimate.js';
import { trainableNumbers } from '../engines/estimatedMethods.js';
import type { Estimate } from '../engines/estimate.js';
import type { EstimatedMethod } from '../engines/estimatedMethods.js';
import { scheduleOf } from '../engines/session.js';
import { modelIdAt } from '../models/hub/ids.js';
import { factsWithoutWeights } from './configFacts.js';
import { attachToHeader, tellsTasks } from './modelAttach.js';
import type { ModelFacts } from './modelFacts.js';
import { cachedModelPlace, modelOnDisk } from './modelHub.js';
import { knownTasks } from './rowTasks.js';
import type { KnownTasks } from './rowTasks.js';

/**
 * What a run needs, from the headers alone, or from the model's config where the weights are not there: no weight
 * is read, nothing is downloaded.
 * @throws ProblemError `hub.not-cached` for a model of the hub that is not on this machine; what reading the model and
 *   attaching the methods refuses
 */
export async function estimateFile({ config, file, folder }: LoadedRun): Promise<Estimate> {
  const id = await modelIdAt(config.model, folder);
  const place = id === undefined ? config.model : await cachedModelPlace(id);
  if (place === undefined) {
    return fail({
      code: 'hub.not-cached',
      message: l10n.t`the model ${config.model} is not on this machine yet, and an estimate downloads nothing`,
      where: { file },
      mend: l10n.t`Preview the data or train once: both download it.`,
    });
  }
  const { facts } = await factsWithoutWeights(place, undefined, config.task_type);
  return estimateWith(config, facts, await besidesOf(config, folder), file);
}

/** What decides an estimate beside the run file and its model, as far as it is on this machine. */
export interface Besides {
  /** The tasks of the rows; absent without `data.task_column`. */
  readonly tasks?: KnownTasks;
  /** The larger base of `proxy_tuning`; null for one that is not on this machine. */
  readonly steered?: ModelFacts | null;
}

/** Looks at rows and the larger base. A base that cannot be read counts as one that is not there: the run tells why. */
export async function besidesOf(
  { data, proxy_tuning: proxy }: Pick<RunConfig, 'data' | 'proxy_tuning'>,
  folder: string,
  signal?: AbortSignal,
): Promise<Besides> {
  const tasks = await knownTasks(data, folder, signal);
  return {
    ...(tasks === undefined ? {} : { tasks }),
    ...(proxy === undefined ? {} : { steered: (await baseAt(proxy.model, folder, signal)) ?? null }),
  };
}

async function baseAt(model: string, folder: string, signal?: AbortSignal): Promise<ModelFacts | undefined> {
  try {
    const place = await modelOnDisk(model, folder);
    return place === undefined ? undefined : (await factsWithoutWeights(place, signal)).facts;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}

/**
 * The same for a model that is read already: for questions, many a second.
 * @param file the run file, named where a method is refused
 * @throws ProblemError what attaching the methods refuses, and a run of fewer steps than their schedules need
 */
export function estimateWith(
  config: RunConfig,
  facts: ModelFacts,
  { tasks, steered }: Besides = {},
  file?: string,
): Estimate {
  const methods = attached(config, facts, tasks, file);
  const found = estimateRun(facts, methods, config, steered ? { steered } : {});
  const isLeast = tasks?.whole === false && tellsTasks(config.method, facts, tasks);
  return {
    ...found,
    notes: [
      ...found.notes,
      ...(isLeast ? [tasksNote(tasks.names.length)] : []),
      ...(steered === null ? [steeredNote(config.proxy_tuning?.model ?? '')] : []),
    ],
  };
}

/**
 * How many numbers a run trains, as its estimate has it: many a second, of ever other methods.
 * @throws ProblemError the same
 */
export function trainableWith(config: RunConfig, facts: ModelFacts, { tasks }: Besides, file?: string): number {
  return trainableNumbers(facts, attached(config, facts, tasks, file));
}

function attached(
  config: RunConfig,
  facts: ModelFacts,
  tasks: KnownTasks | undefined,
  file: string | undefined,
): readonly EstimatedMethod[] {
  const { methods, findings } = attachToHeader(config.method, facts, tasks);
  const wrong = findings.map(({ problem }) => problem).find(isError) ?? tooShort(config);
  if (wrong !== undefined) {
    const where = wrong.where ?? (file === undefined ? undefined : { file });
    fail({ ...wrong, ...(where === undefined ? {} : { where }) });
  }
  return config.method.map((each, at) => ({ config: each, attached: methods[at] }));
}

/** What has no room in the run, where the file tells its steps. */
function tooShort({ method, training: { max_steps: steps } }: RunConfig): Problem | undefined {
  if (steps === undefined) return undefined;
  return method.map((each) => scheduleOf(each, steps)).find((problem) => problem !== undefined);
}

function tasksNote(count: number): string {
  return count > 1
    ? l10n.t`Counted for the ${count} tasks that the first rows name (data.task_column); each more trains numbers of its own.`
    : l10n.t`Counted for one task (data.task_column): each more that rows name trains numbers of its own.`;
}

const steeredNote = (model: string): string =>
  l10n.t`The larger model ${model} (proxy_tuning) is not counted: it is not on this machine, or cannot be read.`;
