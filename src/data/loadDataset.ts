import * as l10n from '@vscode/l10n';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { HubOptions } from '../models/hub/context.js';
import type { TaskType } from '../models/task.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { numberClasses } from './classes.js';
import type { KnownClasses } from './classes.js';
import { dataWarnings } from './dataWarnings.js';
import type { DataReport, Example } from './example.js';
import { dataFiles } from './hubData.js';
import { loadFiles } from './loadFiles.js';
import type { Loaded } from './loadFiles.js';
import { DataOptions } from './options.js';
import { splitRows } from './split.js';

export interface Dataset {
  readonly train: Example[];
  /** Empty when the run file names neither `validation` nor `validation_split`. */
  readonly validation: Example[];
  readonly reports: { readonly train: DataReport; readonly validation?: DataReport };
  /** The tasks that rows name, which they have by their place here; empty where they name none. */
  readonly tasks: readonly string[];
  /** The names of the classes, by their number; empty where the task is another. */
  readonly labels: readonly string[];
  /** What the user should know before the first step: many rows lost, ends replaced, columns ignored. */
  readonly warnings: readonly Problem[];
}

export interface DataContext {
  /** Where relative paths start: the run file's folder. Default: the current folder. */
  readonly folder?: string;
  /** The run's seed, used when the data section has none. */
  readonly seed?: number;
  /** What the model is to learn; default: CAUSAL_LM. */
  readonly taskType?: TaskType;
  /** The classes of a model that tells some apart. */
  readonly classes?: KnownClasses;
  /** How data sets of the Hugging Face hub are got at. */
  readonly hub?: Omit<HubOptions, 'folder'>;
}

const NO_CLASSES: KnownClasses = { labels: [], isTrained: false, isFixed: false };

/** The rows of a run by split, and what became of each. */
export interface LoadedSplits {
  readonly train: Loaded;
  readonly validation?: Loaded;
  /** As in {@link Dataset}. */
  readonly labels: readonly string[];
  /** As in {@link Dataset}. */
  readonly warnings: readonly Problem[];
}

/** {@link loadSplits}, as a run uses it. */
export async function loadDataset(
  options: DataOptions,
  tokenizer: Tokenizer,
  context: DataContext = {},
): Promise<Dataset> {
  const { train, validation, labels, warnings } = await loadSplits(options, tokenizer, context);
  return {
    train: train.rows.map((row) => row.example),
    validation: validation?.rows.map((row) => row.example) ?? [],
    tasks: train.tasks.names,
    labels,
    reports: { train: reportOf(train), ...(validation && { validation: reportOf(validation) }) },
    warnings,
  };
}

/**
 * Reads, formats, tokenizes and splits the data of a run. Examples keep the files' order; shuffling is the
 * batch plan's. Data sets of the hub are downloaded first. Throws the readers', formats' and hub's problems,
 * `data.unknown-option`, `data.two-validations`, `data.validation-split`, and `data.nothing-supervised` when no row is
 * left.
 */
export async function loadSplits(
  options: DataOptions,
  tokenizer: Tokenizer,
  context: DataContext = {},
): Promise<LoadedSplits> {
  checkOptions(options);
  const split = options.validation_split ?? 0;
  const hub = { ...context.hub, folder: context.folder ?? '.' };
  const files: string[] = [];
  for (const entry of typeof options.train === 'string' ? [options.train] : options.train) {
    files.push(...(await dataFiles(entry, 'train', hub)));
  }
  // Before the training rows are read: a name that is wrong is told at once.
  const held = options.validation === undefined ? [] : await dataFiles(options.validation, 'validation', hub);
  const all = await loadFiles(files, options, tokenizer, undefined, context.taskType);
  let train = all;
  let validation: Loaded | undefined;
  if (options.validation !== undefined) {
    validation = await loadFiles(held, options, tokenizer, all.tasks.names, context.taskType);
  } else if (split > 0) {
    ({ train, validation } = splitRows(all, split, options.seed ?? context.seed ?? 0));
  }
  const known = context.taskType === 'SEQ_CLS' ? (context.classes ?? NO_CLASSES) : undefined;
  return {
    ...(known === undefined
      ? { train, ...(validation && { validation }), labels: [] }
      : numberClasses(train, validation, known)),
    warnings: [
      ...dataWarnings(all, tokenizer),
      ...(options.validation !== undefined && validation ? dataWarnings(validation, tokenizer) : []),
    ],
  };
}

function checkOptions(options: DataOptions): void {
  const known = Object.keys(DataOptions.properties);
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const near = nearestName(key, known);
    fail({
      code: 'data.unknown-option',
      message: l10n.t`there is no data option "${key}"`,
      expected: l10n.t`one of ${known.join(', ')}`,
      mend: near === undefined ? l10n.t`Take it out.` : l10n.t`Did you mean "${near}"?`,
    });
  }
  if (options.validation !== undefined && (options.validation_split ?? 0) > 0) {
    fail({
      code: 'data.two-validations',
      message: l10n.t`both "validation" and "validation_split" are given`,
      expected: l10n.t`one of them`,
      mend: l10n.t`Take one of them out.`,
    });
  }
}

/** How many rows each class has, in the order of their names. */
function classesOf({ rows }: Loaded): Pick<DataReport, 'classes'> {
  const counts = new Map<string, number>();
  for (const { label } of rows) if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (counts.size === 0) return {};
  return {
    classes: [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => ({ name, rows: count })),
  };
}

/** What became of the rows, counted. */
export function reportOf(loaded: Loaded): DataReport {
  const sum = (count: (example: Example) => number): number =>
    loaded.rows.reduce((total, { example }) => total + count(example), 0);
  return {
    files: loaded.files,
    format: loaded.formats.join(', '),
    rows: loaded.rowCount,
    kept: loaded.rows.length,
    broken: loaded.broken,
    brokenCount: loaded.brokenCount,
    truncated: loaded.rows.filter((row) => row.truncated).length + loaded.unsupervisedTruncated,
    unsupervised: loaded.unsupervised,
    tokens: sum(({ ids, source }) => ids.length + (source?.length ?? 0)),
    supervisedTokens: sum(({ label, supervised }) =>
      label === undefined ? supervised.reduce<number>((total, bit) => total + bit, 0) : 1,
    ),
    ...classesOf(loaded),
  };
}
