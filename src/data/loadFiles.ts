import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { isEncoderTask } from '../models/task.js';
import type { TaskType } from '../models/task.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { DataFormat } from './columns.js';
import type { Example } from './example.js';
import { rowContent, settleFormat } from './formats.js';
import { DEFAULT_MAX_LENGTH } from './options.js';
import type { DataOptions } from './options.js';
import { pairsProblem } from './pairs.js';
import { allBroken, readRows } from './readRows.js';
import { isBroken } from './row.js';
import { rowTask } from './rowTask.js';
import type { RowTasks } from './rowTask.js';
import type { BrokenRow, Row } from './row.js';
import { tokenizeRow } from './tokenize.js';

/** The rows of some files as examples, and what became of the others. */
export interface Loaded {
  readonly files: readonly string[];
  /** Each once. */
  readonly formats: readonly DataFormat[];
  readonly rows: readonly {
    readonly example: Example;
    readonly truncated: boolean;
    /** The name of its class, where the task is to tell classes apart. */
    readonly label?: string;
  }[];
  /** Rows read, used or not. */
  readonly rowCount: number;
  /** The first {@link LISTED_BROKEN}. */
  readonly broken: readonly (BrokenRow & { readonly file: string })[];
  readonly brokenCount: number;
  readonly unsupervised: number;
  /** The first {@link LISTED_BROKEN} of them. */
  readonly unsupervisedRows: readonly {
    readonly file: string;
    readonly line: number;
    readonly truncated: boolean;
  }[];
  /** Of `unsupervised`, those that were cut. */
  readonly unsupervisedTruncated: number;
  /** End markers of other models that were replaced, and in how many rows. */
  readonly foreignEnds: ReadonlyMap<string, number>;
  /** Rows whose supervised tokens held no end-of-text token before the cut. */
  readonly endless: number;
  /** Rows whose answer is blank but for its end. */
  readonly emptyAnswers: number;
  /** Columns that change what a row means elsewhere and are not read here. */
  readonly ignoredColumns: readonly string[];
  /** The tasks that rows name (`task_column`), in the order of their first rows. */
  readonly tasks: RowTasks;
}

/** {@link Loaded} while it is counted. */
interface Counts extends Loaded {
  formats: DataFormat[];
  rows: { example: Example; truncated: boolean; label?: string }[];
  rowCount: number;
  broken: (BrokenRow & { file: string })[];
  brokenCount: number;
  unsupervised: number;
  unsupervisedRows: { file: string; line: number; truncated: boolean }[];
  unsupervisedTruncated: number;
  foreignEnds: Map<string, number>;
  endless: number;
  emptyAnswers: number;
  ignoredColumns: string[];
}

/** Rows not used that are listed by line, of each kind; the others are counted only. */
const LISTED_BROKEN = 20;

/** Rows looked at to settle the format: enough to pass over a stray one. */
const FORMAT_ROWS = 32;

/** Columns that other tools fold into the prompt. */
const FOLDED_ELSEWHERE = ['system', 'history', 'tools', 'images'];

/**
 * Reads files one after the other and tokenizes their rows; only the examples are kept in memory. Throws the
 * readers' and formats' problems, `data.no-chat-template`, `data.all-rows-broken` (per file) and
 * `data.nothing-supervised` (no example in all files).
 *
 * @param tasks those that rows may be of; default: each that one names
 * @param taskType what the model is to learn
 */
export async function loadFiles(
  files: readonly string[],
  options: DataOptions,
  tokenizer: Tokenizer,
  tasks?: readonly string[],
  taskType: TaskType = 'CAUSAL_LM',
): Promise<Loaded> {
  const counts = nothingCounted(files, tasks);
  for (const file of files) {
    if (counts.rowCount >= (options.max_rows ?? Infinity)) break;
    await loadFile(file, options, tokenizer, counts, taskType);
  }
  if (counts.rows.length === 0) {
    const maxLength = options.max_length ?? DEFAULT_MAX_LENGTH;
    fail({
      code: 'data.nothing-supervised',
      message: l10n.t`none of the ${counts.rowCount} rows has a supervised token within ${maxLength} tokens (${counts.unsupervisedTruncated} were cut, ${counts.brokenCount} are broken)`,
      where: { file: files[0]! },
      expected: l10n.t`answers that begin before the cut`,
      mend: l10n.t`Raise "max_length", or shorten the prompts.`,
    });
  }
  return counts;
}

/** {@link Loaded} before the first row. */
export function nothingCounted(files: readonly string[], tasks?: readonly string[]): Counts {
  return {
    files,
    formats: [],
    rows: [],
    rowCount: 0,
    broken: [],
    brokenCount: 0,
    unsupervised: 0,
    unsupervisedRows: [],
    unsupervisedTruncated: 0,
    foreignEnds: new Map(),
    endless: 0,
    emptyAnswers: 0,
    ignoredColumns: [],
    tasks: { names: [...(tasks ?? [])], grows: tasks === undefined },
  };
}

async function loadFile(
  file: string,
  options: DataOptions,
  tokenizer: Tokenizer,
  counts: Counts,
  taskType: TaskType,
): Promise<void> {
  const firstListed = counts.broken.length;
  const firstBroken: BrokenRow[] = [];
  let rows = 0;
  let brokenRows = 0;
  let format: DataFormat | undefined;
  let waiting: Row[] = [];
  const countBroken = (row: BrokenRow): void => {
    brokenRows++;
    counts.brokenCount++;
    if (firstBroken.length < 3) firstBroken.push(row);
    if (counts.broken.length < LISTED_BROKEN) counts.broken.push({ file, ...row });
  };
  const useWaiting = (): void => {
    const as = (format ??= settle(waiting, file, options, tokenizer, counts, taskType));
    for (const row of waiting) {
      const broken = addRow(row, file, as, options, tokenizer, counts, taskType);
      if (broken !== undefined) countBroken(broken);
    }
    waiting = [];
  };
  const most = (options.max_rows ?? Infinity) - counts.rowCount;
  for await (const row of readRows(file)) {
    rows++;
    counts.rowCount++;
    if (isBroken(row)) countBroken(row);
    else waiting.push(row);
    if (format !== undefined || waiting.length >= FORMAT_ROWS) useWaiting();
    if (rows >= most) break;
  }
  if (waiting.length > 0) useWaiting();
  if (brokenRows === rows) allBroken(file, rows, firstBroken);
  // Unreadable rows are seen before the first rows are formatted.
  const listed = counts.broken.splice(firstListed).sort((a, b) => a.line - b.line);
  counts.broken.push(...listed);
}

/** Settles the format of a file from its first readable rows, and notes it. */
function settle(
  first: readonly Row[],
  file: string,
  options: DataOptions,
  tokenizer: Tokenizer,
  counts: Counts,
  taskType: TaskType,
): DataFormat {
  const columns = options.columns ?? {};
  const values = first.map((row) => row.value);
  const format = settleFormat(values, options.format ?? 'auto', columns, file, taskType);
  if (isEncoderTask(taskType) && options.train_on_prompt === true) noPrompt(file);
  if (tokenizer.decoderStartId !== undefined) {
    const problem = pairsProblem(format, options.train_on_prompt ?? false);
    if (problem !== undefined) fail({ ...problem, where: { file } });
  } else if (format === 'chat' && tokenizer.chatTemplate === undefined) noChatTemplate(file);
  if (!counts.formats.includes(format)) counts.formats.push(format);
  for (const name of FOLDED_ELSEWHERE) {
    if (Object.values(columns).includes(name) || counts.ignoredColumns.includes(name)) continue;
    if (values.some((value) => typeof value !== 'string' && Object.hasOwn(value, name))) {
      counts.ignoredColumns.push(name);
    }
  }
  return format;
}

/** Adds a row's example, or counts it as unsupervised; a row that cannot be used comes back as broken. */
function addRow(
  row: Row,
  file: string,
  format: DataFormat,
  options: DataOptions,
  tokenizer: Tokenizer,
  counts: Counts,
  taskType: TaskType,
): BrokenRow | undefined {
  const { line, value } = row;
  const content = rowContent(format, options.columns ?? {}, value);
  if ('reason' in content) return { line, reason: content.reason };
  const result = tokenizeRow(content, tokenizer, {
    maxLength: options.max_length ?? DEFAULT_MAX_LENGTH,
    trainOnPrompt: options.train_on_prompt ?? false,
    task: taskType,
  });
  if (result.status === 'broken') return { line, reason: result.reason };
  if (result.status === 'unsupervised') {
    counts.unsupervised++;
    const { truncated } = result;
    if (counts.unsupervisedRows.length < LISTED_BROKEN) counts.unsupervisedRows.push({ file, line, truncated });
    if (truncated) counts.unsupervisedTruncated++;
    return undefined;
  }
  const { ids, supervised, source, types, truncated, foreignEnd, endless, emptyAnswer } = result;
  const column = options.task_column;
  const task = column === undefined ? undefined : rowTask(value, column, counts.tasks);
  if (typeof task === 'object') return { line, reason: task.reason };
  if (foreignEnd !== undefined) counts.foreignEnds.set(foreignEnd, (counts.foreignEnds.get(foreignEnd) ?? 0) + 1);
  if (endless) counts.endless++;
  if (emptyAnswer) counts.emptyAnswers++;
  counts.rows.push({
    example: {
      ids,
      supervised,
      ...(source && { source }),
      ...(types && { types }),
      ...(task === undefined ? {} : { task }),
      file,
      line,
    },
    truncated,
    ...(content.kind === 'classification' ? { label: content.label } : {}),
  });
  return undefined;
}

function noPrompt(file: string): never {
  fail({
    code: 'data.train-on-prompt',
    message: l10n.t`train_on_prompt is true, and the rows of an encoder have no prompt`,
    where: { file },
    expected: 'false',
    mend: l10n.t`Take train_on_prompt out.`,
  });
}

function noChatTemplate(file: string): never {
  fail({
    code: 'data.no-chat-template',
    message: l10n.t`the rows are conversations, but the model has no chat template`,
    where: { file },
    expected: l10n.t`a "chat_template" in tokenizer_config.json, or a chat_template.jinja beside it`,
    mend: l10n.t`Use an instruction-tuned model or add a template; or turn the rows into prompt and completion.`,
  });
}
