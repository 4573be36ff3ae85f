import { isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import type { MethodConfig } from '../config/schema.js';
import { sparseCount } from '../methods/bottleneckAdapter.js';
import type { AttachContext, Attached } from '../methods/method.js';
import { sltrainCount } from '../methods/sltrain.js';
import { matchTargets } from '../methods/targets.js';
import { optionsWithoutHead, taskHead, withoutHead } from '../methods/taskHead.js';
import type { LanguageModel } from '../models/architecture.js';
import { attachToHeader, tellsTasks } from './modelAttach.js';
import { soundSections } from './modelDraft.js';
import { modelOf } from './modelSource.js';
import { knownTasks } from './rowTasks.js';
import type { RunDocument } from './runDocument.js';

/** How many numbers a run trains, of how many that the model has. */
export interface TrainableCount {
  readonly trainable: number;
  readonly total: number;
  /** For so many tasks, where rows that were not read may name more of them and each has numbers of its own. */
  readonly tasks?: number;
}

/**
 * Counts what a run file's methods train, from the checkpoint's header alone; or why they cannot. Undefined where the
 * model is not on this machine or the method section is not complete.
 */
export async function trainableOf(
  document: RunDocument,
  signal?: AbortSignal,
): Promise<TrainableCount | Problem | undefined> {
  const { method: configs, data } = soundSections(document);
  const reading = configs && (await modelOf(document, signal));
  if (configs === undefined || reading === undefined) return undefined;
  if ('problem' in reading) return { ...reading.problem, where: document.parsed.placeOf(['model']) };
  const { facts } = reading;
  // How many numbers a fusion of trained adapters has follows from their files.
  if (configs.some((config) => config.type === 'adapter_fusion' && config.adapters !== undefined))
    return undefined;
  const tasks = data && (await knownTasks(data, document.folder, signal));
  const { methods, findings } = attachToHeader(configs, facts, tasks);
  const wrong = findings.find(({ problem }) => isError(problem));
  if (wrong !== undefined) {
    return { ...wrong.problem, where: document.parsed.placeOf(wrong.path, wrong.part) };
  }
  const trainable = configs
    .map((config, index) => {
      const modules = methods[index]?.coverage.modules ?? [];
      return maskedNumbers(config, facts.model) + modules.reduce((sum, each) => sum + each.trainable, 0);
    })
    .reduce((sum, count) => sum + count, headBeside(methods, facts.model));
  const isLeast = tasks?.whole === false && tellsTasks(configs, facts, tasks);
  return { trainable, total: facts.parameters, ...(isLeast ? { tasks: Math.max(1, tasks.names.length) } : {}) };
}

/** Selective methods and SparseAdapter choose their numbers when the run starts; how many follows from their options. */
export function maskedNumbers(config: MethodConfig, model: LanguageModel): number {
  if (config.type === 'adapter') return config.sparsity > 0 ? sparseCount(config, unread(model)) : 0;
  if (config.type === 'sltrain') return sltrainCount(config, unread(model));
  if (!('keep_ratio' in config)) return 0;
  const { sites } = withoutHead(model);
  const match = matchTargets(
    optionsWithoutHead(config, model.classes),
    sites,
    ({ weight }) => weight !== undefined,
  );
  const sizes = new Map(
    match.sites.map(({ weight, shape }) => [weight, shape.reduce((product, length) => product * length, 1)]),
  );
  return Math.floor(config.keep_ratio * [...sizes.values()].reduce((sum, size) => sum + size, 0));
}

/** Numbers of the head of the task where no method that is attached has it along: the first ones see the data before. */
function headBeside(methods: readonly (Attached | undefined)[], model: LanguageModel): number {
  if (methods.some((method) => method?.coverage.classes !== undefined)) return 0;
  const modules = taskHead(unread(model))?.coverage.modules ?? [];
  return modules.reduce((sum, { trainable }) => sum + trainable, 0);
}

function unread(model: LanguageModel): AttachContext {
  return {
    model,
    modelName: '',
    read: () => Promise.reject(new Error('nothing is read to be counted')),
    random: (...stream) => random(0, ...stream),
  };
}
