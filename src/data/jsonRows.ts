import * as l10n from '@vscode/l10n';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import { endOfString, parseJsonRow, scanJsonValue } from './jsonText.js';
import { decodeUtf8, refuseUtf16 } from './lines.js';
import { listNames } from './row.js';
import type { ReadRow } from './row.js';

/** Largest `.json` file read: it is held whole, as bytes and as text. JSON lines have no such limit. */
export const MAX_JSON_BYTES = 128 * 2 ** 20;

/** Reads a whole `.json` file as text. Throws `data.json-too-large` and `data.not-utf8`. */
export async function readJsonText(bytes: AsyncIterable<Uint8Array>, file: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of bytes) {
    length += chunk.length;
    if (length > MAX_JSON_BYTES) {
      fail({
        code: 'data.json-too-large',
        message: l10n.t`the JSON file is larger than ${MAX_JSON_BYTES / 2 ** 20} MiB`,
        where: { file },
        mend: l10n.t`Convert it to JSON lines (.jsonl, one object per line), which is read row by row.`,
      });
    }
    parts.push(chunk);
  }
  const whole = Buffer.concat(parts);
  refuseUtf16(whole, file);
  return (
    decodeUtf8(whole) ??
    fail({
      code: 'data.not-utf8',
      message: l10n.t`the file is not valid UTF-8`,
      where: { file, line: firstInvalidLine(whole) },
      expected: 'UTF-8',
      mend: l10n.t`Save it as UTF-8 (in VS Code: "Save with Encoding").`,
    })
  );
}

function firstInvalidLine(bytes: Uint8Array): number {
  let line = 1;
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start), line++) {
    if (decodeUtf8(bytes.subarray(start, end)) === undefined) return line;
    start = end + 1;
  }
  return line;
}

/**
 * The rows of a JSON text: the elements of its array, or of the array under `data` in its object. Each element
 * is cut out and parsed by itself, so that a broken one does not take the others along and every row knows
 * its line. Throws `data.json-shape` when there is no such array.
 */
export function* jsonRows(text: string, file: string): Generator<ReadRow> {
  const cursor = { at: 0, line: 1 };
  const topLevel = enterArray(text, cursor, file);
  for (;;) {
    skipSpace(text, cursor);
    if (text[cursor.at] === ']') break;
    const { line, at } = cursor;
    const { end } = scanJsonValue(text, at);
    advance(text, cursor, end);
    if (end > at || end < text.length) yield { line, ...parseJsonRow(text.slice(at, end)) };
    if (text[end] === ']') break;
    if (text[end] !== ',') {
      yield {
        line: cursor.line,
        reason: end < text.length ? l10n.t`the array is closed by "}"` : l10n.t`the array is not closed`,
      };
      return;
    }
    cursor.at++;
  }
  cursor.at++;
  skipSpace(text, cursor);
  if (topLevel && cursor.at < text.length)
    yield { line: cursor.line, reason: l10n.t`text after the end of the array` };
}

interface Cursor {
  at: number;
  line: number;
}

function advance(text: string, cursor: Cursor, to: number): void {
  // Not by indexOf: it would look through the rest of a file of one line for each of its rows.
  for (; cursor.at < to; cursor.at++) if (text[cursor.at] === '\n') cursor.line++;
}

function skipSpace(text: string, cursor: Cursor): void {
  for (; cursor.at < text.length && ' \t\r\n'.includes(text[cursor.at]!); cursor.at++) {
    if (text[cursor.at] === '\n') cursor.line++;
  }
}

/** Moves into the array of rows; true when it is the whole document. */
function enterArray(text: string, cursor: Cursor, file: string): boolean {
  skipSpace(text, cursor);
  const first = text[cursor.at];
  if (first === undefined) noRows(file);
  cursor.at++;
  if (first === '[') return true;
  const keys: string[] = [];
  while (first === '{') {
    skipSpace(text, cursor);
    if (text[cursor.at] !== '"') break;
    const keyEnd = endOfString(text, cursor.at);
    const key = text.slice(cursor.at + 1, keyEnd - 1);
    keys.push(key);
    cursor.at = keyEnd;
    skipSpace(text, cursor);
    if (text[cursor.at] !== ':') break;
    cursor.at++;
    skipSpace(text, cursor);
    if (key === 'data' && text[cursor.at] === '[') {
      cursor.at++;
      return false;
    }
    advance(text, cursor, scanJsonValue(text, cursor.at).end);
    if (text[cursor.at] !== ',') break;
    cursor.at++;
  }
  const near = keys.includes('data') ? undefined : nearestName('data', keys);
  cursor.at++;
  skipSpace(text, cursor);
  const jsonLines = first === '{' && text[cursor.at] === '{';
  fail({
    code: 'data.json-shape',
    message:
      first === '{'
        ? l10n.t`a JSON object with the keys ${listNames(keys)}`
        : l10n.t`the file is not a JSON array`,
    where: { file, line: 1 },
    expected: l10n.t`an array of objects, or an object with an array of objects under "data"`,
    mend: jsonLines
      ? l10n.t`These look like JSON lines: name the file .jsonl.`
      : near === undefined
        ? l10n.t`Put the rows in an array, or one per line in a .jsonl file.`
        : l10n.t`Rename "${near}" to "data".`,
  });
}

/** Throws the problem of a file without a single row. */
export function noRows(file: string): never {
  fail({
    code: 'data.no-rows',
    message: l10n.t`the file holds no rows`,
    where: { file },
    mend: l10n.t`Check that it is the right file and that it was saved.`,
  });
}
