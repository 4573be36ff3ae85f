import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import { alpacaPrompt } from './alpaca.js';
import { chatMessages } from './chatMessages.js';
import type { TaskType } from '../models/task.js';
import { DATA_FORMATS, FORMAT_ROLES, TASK_FORMATS, columnNames } from './columns.js';
import type { ColumnRole, DataFormat } from './columns.js';
import type { Content } from './content.js';
import { jsonKind } from './jsonText.js';
import type { ColumnOptions, FormatOption } from './options.js';
import { listNames } from './row.js';

/**
 * The format of a file: the chosen one, or with `auto` the one that most of its first rows fit, of those that the task can
 * learn from. Throws `data.unknown-format` (no format of that name), `data.format-task` (one for another task),
 * `data.format-mismatch` (none of the rows fits) and `data.column-unused` (a column is named that the format does not read); each says which columns were found.
 */
export function settleFormat(
  values: readonly (JsonObject | string)[],
  wanted: FormatOption,
  columns: ColumnOptions,
  file: string,
  task: TaskType = 'CAUSAL_LM',
): DataFormat {
  if (wanted !== 'auto' && !DATA_FORMATS.includes(wanted)) unknownFormat(wanted);
  const formats = TASK_FORMATS[task];
  if (wanted !== 'auto' && !formats.includes(wanted)) otherTask(wanted, task, file);
  const candidates = wanted === 'auto' ? formats : [wanted];
  const counts = candidates.map(
    (format) => values.filter((value) => missingRole(format, value, columns) === undefined).length,
  );
  const most = Math.max(...counts);
  if (most === 0) mismatch(values, candidates, columns, file);
  const format = candidates[counts.indexOf(most)]!;
  const read = [...FORMAT_ROLES[format].required, ...FORMAT_ROLES[format].optional];
  const unused = roleKeys(columns).filter((role) => !read.includes(role));
  if (unused.length > 0) {
    fail({
      code: 'data.column-unused',
      message:
        wanted === 'auto'
          ? l10n.t`"columns" names ${listNames(unused)}, which format "${format}" (taken from the columns) does not read; ${foundColumns(values)}`
          : l10n.t`"columns" names ${listNames(unused)}, which format "${format}" does not read; ${foundColumns(values)}`,
      where: { file },
      expected: l10n.t`names for ${listNames(read)}`,
      mend: l10n.t`Set "format" to the one that is meant, or take the name out.`,
    });
  }
  return format;
}

/** A row's content in the given format, else the reason why it has none. */
export function rowContent(
  format: DataFormat,
  columns: ColumnOptions,
  value: JsonObject | string,
): Content | { reason: string } {
  if (typeof value === 'string') return { kind: 'text', text: value };
  const missing = missingRole(format, value, columns);
  if (missing !== undefined) {
    const names = columnNames(missing, columns);
    const near = nearestName(names[0]!, Object.keys(value));
    const wanted = oneOf(names);
    return {
      reason:
        near === undefined
          ? l10n.t`no column ${wanted}; ${foundColumns([value])}`
          : l10n.t`no column ${wanted} (did you mean "${near}"?); ${foundColumns([value])}`,
    };
  }
  if (format === 'chat') {
    const result = chatMessages(cell(value, 'messages', columns)!.value);
    return 'reason' in result ? result : { kind: 'chat', messages: result.messages };
  }
  const label = format === 'classification' ? cell(value, 'label', columns) : undefined;
  const className = label === undefined ? undefined : classNameOf(label.value);
  if (label !== undefined && className === undefined) {
    return { reason: l10n.t`"${label.name}" is ${jsonKind(label.value)}, not a class: a name or a whole number` };
  }
  const texts = new Map<ColumnRole, string>();
  const { required, optional } = FORMAT_ROLES[format];
  for (const role of [...required, ...optional]) {
    const found = role === 'label' ? undefined : cell(value, role, columns);
    if (found === undefined || (found.value === null && optional.includes(role))) continue;
    const { name, value: text } = found;
    if (typeof text !== 'string') return { reason: l10n.t`"${name}" is ${jsonKind(text)}, not text` };
    texts.set(role, text);
  }
  const text = (role: ColumnRole): string => texts.get(role) ?? '';
  switch (format) {
    case 'prompt_completion':
      return { kind: 'completion', prompt: text('prompt'), completion: text('completion') };
    case 'alpaca': {
      const prompt = alpacaPrompt(text('instruction'), text('input'));
      return { kind: 'completion', prompt, completion: text('output') };
    }
    case 'text':
      return text('text').trim() === ''
        ? { reason: l10n.t`the text is empty` }
        : { kind: 'text', text: text('text') };
    case 'classification':
      return text('text').trim() === '' && !texts.has('text_pair')
        ? { reason: l10n.t`the text is empty` }
        : { kind: 'classification', text: text('text'), pair: texts.get('text_pair'), label: className ?? '' };
  }
}

/** The name of a class, out of a row's cell; undefined where it holds none. */
function classNameOf(value: Json): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value;
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return String(value);
  return undefined;
}

/** The first required part whose column the row lacks. Plain text has the part `text`, and no other. */
function missingRole(
  format: DataFormat,
  value: JsonObject | string,
  columns: ColumnOptions,
): ColumnRole | undefined {
  const { required } = FORMAT_ROLES[format];
  if (typeof value === 'string') return required.find((role) => role !== 'text');
  return required.find((role) => cell(value, role, columns) === undefined);
}

function cell(
  value: JsonObject,
  role: ColumnRole,
  columns: ColumnOptions,
): { name: string; value: Json } | undefined {
  // Own properties only: a column called "constructor" must not be found in every row.
  const name = columnNames(role, columns).find((candidate) => Object.hasOwn(value, candidate));
  return name === undefined ? undefined : { name, value: value[name]! };
}

function roleKeys(columns: ColumnOptions): ColumnRole[] {
  const roles: readonly ColumnRole[] = [
    'prompt',
    'completion',
    'instruction',
    'input',
    'output',
    'messages',
    'text',
    'text_pair',
    'label',
  ];
  return roles.filter((role) => columns[role] !== undefined);
}

function columnsOf(values: readonly (JsonObject | string)[]): string[] {
  return [...new Set(values.flatMap((value) => (typeof value === 'string' ? [] : Object.keys(value))))];
}

function foundColumns(values: readonly (JsonObject | string)[]): string {
  const names = columnsOf(values);
  return names.length === 0
    ? l10n.t`it is plain text, without columns`
    : l10n.t`columns found: ${listNames(names)}`;
}

function describeFormat(format: DataFormat, columns: ColumnOptions): string {
  const { required } = FORMAT_ROLES[format];
  return `${format} (${required.map((role) => oneOf(columnNames(role, columns))).join(l10n.t` and `)})`;
}

/** `"messages" or "conversations"`. */
function oneOf(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(l10n.t` or `);
}

function unknownFormat(wanted: string): never {
  const near = nearestName(wanted, ['auto', ...DATA_FORMATS]);
  fail({
    code: 'data.unknown-format',
    message: l10n.t`there is no data format "${wanted}"`,
    expected: l10n.t`one of auto, ${DATA_FORMATS.join(', ')}`,
    mend: near === undefined ? l10n.t`Choose one of these.` : l10n.t`Did you mean "${near}"?`,
  });
}

function otherTask(wanted: DataFormat, task: TaskType, file: string): never {
  fail({
    code: 'data.format-task',
    message: l10n.t`"format" is "${wanted}", and the task is ${task}`,
    where: { file },
    expected: l10n.t`one of auto, ${TASK_FORMATS[task].join(', ')}`,
    mend: l10n.t`Change "format", or task_type.`,
  });
}

function mismatch(
  values: readonly (JsonObject | string)[],
  candidates: readonly DataFormat[],
  columns: ColumnOptions,
  file: string,
): never {
  const found = columnsOf(values);
  const slips = candidates
    .flatMap((format) => FORMAT_ROLES[format].required)
    .flatMap((role) => {
      const [name] = columnNames(role, columns);
      const near = found.includes(name!) ? undefined : nearestName(name!, found);
      return near === undefined ? [] : [l10n.t`"${String(near)}" is near "${String(name)}"`];
    });
  fail({
    code: 'data.format-mismatch',
    message:
      candidates.length === 1
        ? l10n.t`no row fits the format "${String(candidates[0])}"; ${foundColumns(values)}`
        : l10n.t`the rows fit no known format; ${foundColumns(values)}`,
    where: { file },
    expected: candidates.map((format) => describeFormat(format, columns)).join(l10n.t`, or `),
    mend:
      slips.length > 0
        ? l10n.t`A slip? ${slips.join(', ')}. Choose a "format" that fits, or name the columns under "columns".`
        : l10n.t`Choose a "format" that fits, or name the columns under "columns".`,
  });
}
