import * as l10n from '@vscode/l10n';
import { parse } from 'csv-parse/sync';
import { fail } from '../common/problem.js';
import { MAX_LINE_BYTES } from './lines.js';
import type { Line } from './lines.js';
import { isBroken, listNames } from './row.js';
import type { BrokenRow, ReadRow } from './row.js';

/**
 * Rows of delimiter-separated text (RFC 4180), one object per record under the header's names; values stay
 * strings. A record that cannot be parsed costs its first line only: reading goes on with the line after it,
 * so that one stray quote does not swallow the rest of the file. Throws `data.csv-header`.
 */
export async function* csvRows(
  lines: AsyncIterable<Line | BrokenRow>,
  delimiter: ',' | '\t',
  file: string,
): AsyncGenerator<ReadRow> {
  let header: string[] | undefined;
  for await (const record of csvRecords(lines, delimiter)) {
    if (header === undefined) header = checkHeader(record, file);
    else if (isBroken(record)) yield record;
    else if (record.fields.length !== header.length) {
      yield {
        line: record.line,
        reason: l10n.t`${record.fields.length} fields where the header has ${header.length}`,
      };
    } else {
      const { fields } = record;
      yield { line: record.line, value: Object.fromEntries(header.map((name, i) => [name, fields[i]!])) };
    }
  }
}

interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

function checkHeader(record: CsvRecord | BrokenRow, file: string): string[] {
  const where = { file, line: record.line };
  const mend = l10n.t`Write the column names in the first line, each once.`;
  if (isBroken(record))
    fail({ code: 'data.csv-header', message: l10n.t`the header: ${record.reason}`, where, mend });
  const names = record.fields.map((name) => name.trim());
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const name of names) (seen.has(name) ? twice : seen).add(name);
  if (twice.size > 0) {
    const message = l10n.t`the header names ${listNames(twice)} more than once; columns found: ${listNames(names)}`;
    fail({ code: 'data.csv-header', message, where, mend });
  }
  return names;
}

/** Joins the lines of quoted fields: a record ends where the number of quotes seen is even. */
async function* csvRecords(
  lines: AsyncIterable<Line | BrokenRow>,
  delimiter: string,
): AsyncGenerator<CsvRecord | BrokenRow> {
  let open: Line[] = [];
  let openLength = 0;
  // Takes lines (last first) off the stack; gives up the first line of a failed record and puts back the rest.
  function* take(stack: Line[]): Generator<CsvRecord | BrokenRow> {
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (open.length === 0 && next.text.trim() === '') continue;
      const closes = open.length > 0 === hasOddQuotes(next.text);
      open.push(next);
      openLength += next.text.length + 1;
      if (!closes && openLength <= MAX_LINE_BYTES) continue;
      const fields = closes ? parseRecord(open, delimiter) : l10n.t`a quote that opens here is not closed`;
      if (typeof fields === 'string') yield* giveUp(stack, fields);
      else {
        yield { line: open[0]!.line, fields };
        open = [];
        openLength = 0;
      }
    }
  }
  function* giveUp(stack: Line[], reason: string): Generator<BrokenRow> {
    yield { line: open[0]!.line, reason };
    for (let i = open.length - 1; i > 0; i--) stack.push(open[i]!);
    open = [];
    openLength = 0;
  }
  function* finish(): Generator<CsvRecord | BrokenRow> {
    while (open.length > 0) {
      const stack: Line[] = [];
      yield* giveUp(stack, l10n.t`a quote that opens here is not closed`);
      yield* take(stack);
    }
  }
  for await (const line of lines) {
    if (isBroken(line)) {
      yield* finish();
      yield line;
    } else yield* take([line]);
  }
  yield* finish();
}

function hasOddQuotes(text: string): boolean {
  let odd = false;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) odd = !odd;
  return odd;
}

function parseRecord(lines: readonly Line[], delimiter: string): string[] | string {
  const text = lines.map((line) => line.text).join('\n');
  if (!text.includes('"')) return text.split(delimiter);
  const fault = quoteFault(text, delimiter);
  if (fault !== undefined) return fault;
  try {
    const records: string[][] = parse(text, { delimiter, record_delimiter: '\n', relax_column_count: true });
    return records.length === 1 ? records[0]! : l10n.t`quotes that do not pair up`;
  } catch (error) {
    return error instanceof Error ? l10n.t`not valid CSV: ${withoutPlace(error.message)}` : String(error);
  }
}

/**
 * What is wrong with the quotes of a record, if anything. Told without an exception, which takes longer than a short
 * record: a file may be a million of these.
 */
function quoteFault(text: string, delimiter: string): string | undefined {
  let quote = text.indexOf('"');
  for (let at = 0; at <= text.length; at++) {
    // Looked for once per quote, not once per field: a line may have a million fields before it.
    if (quote >= 0 && quote < at) quote = text.indexOf('"', at);
    if (text[at] === '"') {
      let close = text.indexOf('"', at + 1);
      while (close >= 0 && text[close + 1] === '"') close = text.indexOf('"', close + 2);
      if (close < 0) return l10n.t`a quote that opens here is not closed`;
      at = close + 1;
      if (at < text.length && text[at] !== delimiter) return l10n.t`not valid CSV: text follows a closing quote`;
    } else {
      const end = text.indexOf(delimiter, at);
      if (quote >= 0 && (end < 0 || quote < end))
        return l10n.t`not valid CSV: a quote within a field that has none around it`;
      if (quote < 0) return undefined;
      at = end;
    }
  }
  return undefined;
}

/** csv-parse counts lines within the record it was given; the row's own line says where it is. */
function withoutPlace(message: string): string {
  return message.replace(/ (at|on) line \d+/, '');
}
