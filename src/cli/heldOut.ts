import path from 'node:path';
import { fail } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { Example } from '../data/example.js';
import { loadDataset } from '../data/loadDataset.js';
import type { DataOptions } from '../data/options.js';
import { knownClasses } from '../engines/session.js';
import type { LanguageModel } from '../models/architecture.js';
import type { TaskType } from '../models/task.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { describeEvent } from '../training/describeEvent.js';
import { dataIdAt } from '../models/hub/ids.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { isRunFile, openRunFile } from './runFile.js';

/** Rows in one pass where no run file says it: the schema's default. */
const BATCH_SIZE = 8;

/** What is to be evaluated on which rows. */
export interface EvaluationPlan {
  readonly model: string;
  readonly data: DataOptions;
  /** What the run file says that the model is to do. */
  readonly task?: TaskType | undefined;
  /** Which part of that data set is evaluated on. */
  readonly part: 'train' | 'validation';
  readonly batchSize: number;
  /** Where relative paths of the data start. */
  readonly folder: string;
  readonly seed?: number;
  readonly runtime?: LoadedRun['config']['runtime'];
}

/**
 * @param name a run file or a model
 * @param file rows to evaluate on; for a run file, instead of its own
 * @throws ProblemError `cli.option-missing` for a model without rows, `config.*`
 */
export async function planEvaluation(name: string, file: string | undefined, io: Io): Promise<EvaluationPlan> {
  if (!isRunFile(name)) {
    if (file !== undefined) {
      return { model: name, data: { train: file }, part: 'train', batchSize: BATCH_SIZE, folder: '.' };
    }
    return fail({
      code: 'cli.option-missing',
      message: '`evaluate` of a model needs --data: the rows to evaluate on',
      mend: "Add --data FILE, or name a run file: its held-out rows are used, in the run file's format.",
    });
  }
  const { config, folder } = await openRunFile(name, io);
  const { validation, validation_split: split, ...options } = config.data;
  const plan = {
    model: config.model,
    task: config.task_type,
    batchSize: config.training.per_device_eval_batch_size,
    folder,
    seed: config.training.seed,
    runtime: config.runtime,
  };
  // A file of held-out rows is read alone: the training rows do not matter here.
  const alone = file === undefined ? validation : (await dataIdAt(file, '.')) ? file : path.resolve(file);
  if (alone !== undefined) return { ...plan, data: { ...options, train: alone }, part: 'train' };
  if ((split ?? 0) > 0) return { ...plan, data: config.data, part: 'validation' };
  return fail({
    code: 'config.no-held-out-data',
    message: 'the run file holds no rows out of the training',
    where: { file: path.resolve(name) },
    mend: 'Add data.validation or data.validation_split to it, or name rows with --data FILE.',
  });
}

/** Rows to evaluate on. */
export interface HeldOutRows {
  readonly examples: readonly Example[];
  readonly files: readonly string[];
  /** How many rows could not be used. */
  readonly broken: number;
  /** The tasks that rows name, by the numbers that they carry; empty where they name none. */
  readonly tasks: readonly string[];
}

/**
 * Reads the rows of a plan; what became of them is printed.
 * @param model what rows are read for
 * @throws ProblemError `data.*`
 */
export async function readHeldOut(
  plan: EvaluationPlan,
  tokenizer: Tokenizer,
  io: Io,
  model?: LanguageModel,
): Promise<HeldOutRows> {
  const dataset = await loadDataset(plan.data, tokenizer, {
    ...plan,
    ...(model === undefined ? {} : { taskType: model.task, classes: knownClasses(model, true) }),
    hub: hubOf(io),
  });
  for (const warning of dataset.warnings) io.problem(warning);
  const report = dataset.reports[plan.part]!;
  for (const { text } of describeEvent({ type: 'data', split: 'validation', report })) io.note(text);
  return { examples: dataset[plan.part], files: report.files, broken: report.brokenCount, tasks: dataset.tasks };
}
