import * as l10n from '@vscode/l10n';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { nearestName } from '../common/nearest.js';
import { fail, messageOf } from '../common/problem.js';
import { csvRows } from './csvRows.js';
import { MAX_JSON_BYTES, jsonRows, noRows, readJsonText } from './jsonRows.js';
import { parseJsonRow } from './jsonText.js';
import { readLines } from './lines.js';
import type { Line } from './lines.js';
import { parquetRows } from './parquetRows.js';
import { isBroken, listNames } from './row.js';
import type { BrokenRow, ReadRow } from './row.js';
import { textRows } from './textRows.js';

/** The file types read, by extension. */
export const DATA_EXTENSIONS = ['.jsonl', '.ndjson', '.json', '.csv', '.tsv', '.txt', '.parquet'] as const;
type DataExtension = (typeof DATA_EXTENSIONS)[number];
/** Those that are read from their start to their end. */
type StreamedExtension = Exclude<DataExtension, '.parquet'>;

/**
 * Streams the rows of a data file: JSON lines, JSON (an array of objects, also under `data`), CSV, TSV, plain text (a
 * row per paragraph), or Parquet. Broken rows come with line and reason and do not stop the rest.
 * Throws `data.not-found`, `data.unknown-extension`, `data.unreadable`, the readers' own problems, and at the
 * end `data.no-rows` or `data.all-rows-broken`.
 */
export async function* readRows(file: string): AsyncGenerator<ReadRow> {
  const extension = dataExtension(file);
  await checkFile(file, extension);
  yield* checked(extension === '.parquet' ? parquetRows(file) : parseRows(fileBytes(file), file, extension), file);
}

/** {@link readRows} from bytes at hand; `file` serves messages only. */
export async function* readRowsFrom(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
  extension: StreamedExtension,
): AsyncGenerator<ReadRow> {
  yield* checked(parseRows(bytes, file, extension), file);
}

/** Rows as they come; no row at all, or none that can be used, is a problem. */
async function* checked(read: AsyncIterable<ReadRow>, file: string): AsyncGenerator<ReadRow> {
  let rows = 0;
  let brokenCount = 0;
  const broken: BrokenRow[] = [];
  for await (const row of read) {
    rows++;
    if (isBroken(row)) {
      brokenCount++;
      if (broken.length < 3) broken.push(row);
    }
    yield row;
  }
  if (rows === 0) noRows(file);
  if (brokenCount === rows) allBroken(file, rows, broken);
}

/** Throws the problem of a file of whose rows none can be used, with the first reasons. */
export function allBroken(file: string, rows: number, first: readonly BrokenRow[]): never {
  fail({
    code: 'data.all-rows-broken',
    message: l10n.t`none of the ${rows} rows can be used: ${first.map(({ line, reason }) => l10n.t`line ${line}: ${reason}`).join('; ')}${rows > first.length ? '; …' : ''}`,
    where: { file, line: first[0]?.line },
    mend: l10n.t`Check that the file is what its extension says, and the format and column names of the run file.`,
  });
}

async function* parseRows(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
  extension: StreamedExtension,
): AsyncGenerator<ReadRow> {
  if (extension === '.json') yield* jsonRows(await readJsonText(bytes, file), file);
  else {
    const lines = readLines(bytes, file);
    if (extension === '.csv') yield* csvRows(lines, ',', file);
    else if (extension === '.tsv') yield* csvRows(lines, '\t', file);
    else if (extension === '.txt') yield* textRows(lines, file);
    else yield* jsonLineRows(lines);
  }
}

async function* jsonLineRows(lines: AsyncIterable<Line | BrokenRow>): AsyncGenerator<ReadRow> {
  for await (const line of lines) {
    if (isBroken(line)) yield line;
    else if (line.text.trim() !== '') yield { line: line.line, ...parseJsonRow(line.text) };
  }
}

function dataExtension(file: string): DataExtension {
  const extension = path.extname(file).toLowerCase();
  return (
    DATA_EXTENSIONS.find((known) => known === extension) ??
    fail({
      code: 'data.unknown-extension',
      message:
        extension === ''
          ? l10n.t`the data file has no extension`
          : l10n.t`the extension "${extension}" is not known`,
      where: { file },
      expected: l10n.t`one of ${DATA_EXTENSIONS.join(', ')}`,
      mend: l10n.t`Convert or rename the file.`,
    })
  );
}

async function checkFile(file: string, extension: DataExtension): Promise<void> {
  const kind = await pathKind(file);
  if (kind === 'nothing') await notFound(file);
  const { size } = await stat(file);
  // Anything but a regular file could be endless or block: folders, pipes, devices.
  if (!(await stat(file)).isFile()) {
    fail({
      code: 'data.unreadable',
      message: kind === 'folder' ? l10n.t`this is a folder` : l10n.t`this is not a regular file`,
      where: { file },
      expected: l10n.t`a data file`,
      mend: l10n.t`Name the file itself; several can be given as a list.`,
    });
  }
  if (extension === '.json' && size > MAX_JSON_BYTES) {
    fail({
      code: 'data.json-too-large',
      message: l10n.t`the JSON file has ${Math.ceil(size / 2 ** 20)} MiB; at most ${MAX_JSON_BYTES / 2 ** 20} are read`,
      where: { file },
      mend: l10n.t`Convert it to JSON lines (.jsonl, one object per line), which is read row by row.`,
    });
  }
}

async function notFound(file: string): Promise<never> {
  const folder = path.dirname(file);
  const names = await readdir(folder).catch(() => undefined);
  const near = names && nearestName(path.basename(file), names);
  const data = names?.filter((name) => DATA_EXTENSIONS.some((known) => name.toLowerCase().endsWith(known))).sort();
  return fail({
    code: 'data.not-found',
    message: names ? l10n.t`the file was not found` : l10n.t`the file was not found: there is no folder ${folder}`,
    where: { file },
    mend: [
      near === undefined
        ? l10n.t`Check the path; relative paths start at the run file.`
        : l10n.t`Did you mean "${near}"?`,
      data && data.length > 0 ? l10n.t`Data files there: ${listNames(data, 8)}.` : undefined,
    ]
      .filter((part) => part !== undefined)
      .join(' '),
  });
}

async function* fileBytes(file: string): AsyncGenerator<Uint8Array> {
  const stream: AsyncIterable<Uint8Array> = createReadStream(file, { highWaterMark: 256 * 1024 });
  try {
    yield* stream;
  } catch (cause) {
    const message = l10n.t`the file cannot be read: ${messageOf(cause)}`;
    fail({ code: 'data.unreadable', message, where: { file }, mend: l10n.t`Check its permissions.` }, cause);
  }
}
