import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { nearestName } from '../common/nearest.js';
import { problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { RunConfig } from '../config/schema.js';
import type { ConfigPath } from '../config/tree.js';
import type { DataFormat } from '../data/columns.js';
import { rowContent, settleFormat } from '../data/formats.js';
import { pairsProblem } from '../data/pairs.js';
import type { ColumnOptions } from '../data/options.js';
import { listNames } from '../data/row.js';
import type { BrokenRow } from '../data/row.js';
import { dataIdAt } from '../models/hub/ids.js';
import type { TaskType } from '../models/task.js';
import { columnsOf, firstRows } from './dataRows.js';
import type { FirstRows } from './dataRows.js';
import { modelTemplate } from './dataTemplate.js';
import type { ModelFacts } from './modelFacts.js';
import type { Finding } from './modelFinding.js';

type Data = RunConfig['data'];

/** A data file that a run file names, and where. */
export interface NamedFile {
  readonly path: ConfigPath;
  /** As written. */
  readonly text: string;
  /** Absolute. */
  readonly file: string;
}

/** The data files of a run file; data sets of the hub are not among them. */
export async function namedFiles({ train, validation }: Data, folder: string): Promise<NamedFile[]> {
  const entries: { path: ConfigPath; text: string }[] = [
    ...(typeof train === 'string'
      ? [{ path: ['data', 'train'], text: train }]
      : train.map((text, at) => ({ path: ['data', 'train', at], text }))),
    ...(validation === undefined ? [] : [{ path: ['data', 'validation'], text: validation }]),
  ];
  const files = await Promise.all(
    entries.map(async (entry): Promise<NamedFile[]> =>
      (await dataIdAt(entry.text, folder).catch(() => undefined)) === undefined
        ? [{ ...entry, file: path.resolve(folder, entry.text) }]
        : [],
    ),
  );
  return files.flat();
}

/**
 * What is wrong with the data's first rows in view of the format, the columns and the model's chat template. Files
 * that are missing are not spoken of: the check of paths does.
 */
export async function dataFindings(
  data: Data,
  folder: string,
  model: ModelFacts | undefined,
  task: TaskType | undefined,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const named of await namedFiles(data, folder)) {
    const first = await firstRows(named.file, signal);
    if (first !== undefined)
      findings.push(...(await fileFindings(named, first, data, model, task ?? model?.model.task)));
  }
  // What holds for each file alike, such as a name that no file has, is said once.
  return findings.filter(
    ({ path: at, problem: { code } }, index) =>
      findings.findIndex((other) => other.problem.code === code && other.path.join() === at.join()) === index,
  );
}

async function fileFindings(
  named: NamedFile,
  first: FirstRows,
  data: Data,
  model: ModelFacts | undefined,
  task: TaskType | undefined,
): Promise<Finding[]> {
  const { path: at, text } = named;
  const columns: ColumnOptions = data.columns ?? {};
  if (first.problem !== undefined) return [{ problem: inFile(first.problem, text), path: at }];
  if (first.rows.length === 0) {
    return first.broken.length > 0 ? [{ problem: brokenRows(first.broken, first, text), path: at }] : [];
  }
  const missing = missingColumns(data, columnsOf(first.rows), text);
  if (missing.length > 0) return missing;
  let format: DataFormat;
  try {
    const values = first.rows.map(({ value }) => value);
    format = settleFormat(values, data.format ?? 'auto', columns, first.file, task);
  } catch (error) {
    const problem = inFile(problemOf(error), text);
    if (problem.code === 'data.column-unused') return [{ problem, path: ['data', 'columns'], part: 'key' }];
    const chosen = data.format !== undefined && data.format !== 'auto';
    return [{ problem, path: chosen ? ['data', 'format'] : at }];
  }
  const broken = [...first.broken, ...unusableRows(first, format, columns)].sort((a, b) => a.line - b.line);
  return [
    ...(broken.length > 0 ? [{ problem: brokenRows(broken, first, text), path: at }] : []),
    ...(model?.model.kind === 'encoder-decoder'
      ? pairFindings(named, format, data)
      : format === 'chat'
        ? await templateFindings(named, first, columns, model)
        : []),
  ];
}

function pairFindings({ path: at, text }: NamedFile, format: DataFormat, data: Data): Finding[] {
  const problem = pairsProblem(format, data.train_on_prompt ?? false);
  if (problem === undefined) return [];
  const isOption = problem.code === 'data.train-on-prompt';
  return [{ problem: inFile(problem, text), path: isOption ? ['data', 'train_on_prompt'] : at }];
}

/** Columns that the run file names and no row has. */
function missingColumns(
  { columns = {}, task_column: task }: Data,
  found: readonly string[],
  text: string,
): Finding[] {
  const named: [ConfigPath, string][] = Object.entries(columns).map(([role, name]) => [['columns', role], name]);
  if (task !== undefined) named.push([['task_column'], task]);
  return named
    .filter(([, name]) => !found.includes(name))
    .map(([option, name]) => {
      const near = nearestName(name, found);
      const problem: Problem = {
        code: 'data.no-column',
        message:
          found.length === 0
            ? l10n.t`\`${text}\` is plain text, without columns: there is no "${name}"`
            : l10n.t`\`${text}\` has no column "${name}"; columns found: ${listNames(found)}`,
        expected: found.length === 0 ? l10n.t`no names of columns` : l10n.t`one of ${listNames(found)}`,
        mend: near === undefined ? l10n.t`Name one of these columns.` : l10n.t`Did you mean \`${near}\`?`,
        ...(near === undefined ? {} : { replacement: near }),
      };
      return { problem, path: ['data', ...option] };
    });
}

function unusableRows(first: FirstRows, format: DataFormat, columns: ColumnOptions): BrokenRow[] {
  return first.rows.flatMap(({ line, value }) => {
    const content = rowContent(format, columns, value);
    return 'reason' in content ? [{ line, reason: content.reason }] : [];
  });
}

function brokenRows(broken: readonly BrokenRow[], { rows, broken: unread }: FirstRows, text: string): Problem {
  const [{ line, reason }] = broken as readonly [BrokenRow];
  const looked = rows.length + unread.length;
  const all = broken.length === looked;
  return {
    code: all ? 'data.all-rows-broken' : 'data.broken-rows',
    severity: all ? 'error' : 'warning',
    message: all
      ? l10n.t`none of the first ${looked} rows of \`${text}\` can be used; line ${line}: ${reason}`
      : l10n.t`${broken.length} of the first ${looked} rows of \`${text}\` cannot be used; line ${line}: ${reason}`,
    mend: all
      ? l10n.t`Check that the file is what its extension says, and the format and column names.`
      : l10n.t`Mend these rows, or leave them: they are left out and counted.`,
  };
}

/** Whether the model's chat template takes the first conversation. */
async function templateFindings(
  { path: at, text }: NamedFile,
  { rows }: FirstRows,
  columns: ColumnOptions,
  model: ModelFacts | undefined,
): Promise<Finding[]> {
  // The template of a GGUF file lies among its metadata, which takes long to read.
  if (model?.checkpoint.format !== 'safetensors') return [];
  try {
    const found = await modelTemplate(model.place);
    if (found === undefined) return [{ problem: noTemplate(text), path: at }];
    for (const { line, value } of rows) {
      const content = rowContent('chat', columns, value);
      if ('reason' in content || content.kind !== 'chat') continue;
      try {
        found.template.render(content.messages, {
          addGenerationPrompt: false,
          specialTokens: found.specialTokens,
        });
      } catch (error) {
        const problem = problemOf(error);
        const message = l10n.t`line ${line} of \`${text}\`: ${problem.message}`;
        // Rows that a template refuses are left out and counted; one that fails does not know any row.
        const severity = problem.code === 'template.raised' ? 'warning' : 'error';
        return [{ problem: { ...problem, message, severity }, path: at }];
      }
      return [];
    }
    return [];
  } catch (error) {
    return [{ problem: problemOf(error), path: ['model'] }];
  }
}

function noTemplate(text: string): Problem {
  return {
    code: 'data.no-chat-template',
    message: l10n.t`the rows of \`${text}\` are conversations, but the model has no chat template`,
    expected: l10n.t`a "chat_template" in tokenizer_config.json, or a chat_template.jinja beside it`,
    mend: l10n.t`Use an instruction-tuned model or add a template; or turn the rows into prompt and completion.`,
  };
}

/** The problem of a data file, told where the run file names it. */
function inFile(problem: Problem, text: string): Problem {
  const line = problem.where?.line;
  const message =
    line === undefined
      ? l10n.t`\`${text}\`: ${problem.message}`
      : l10n.t`line ${line} of \`${text}\`: ${problem.message}`;
  return { ...problem, message };
}
