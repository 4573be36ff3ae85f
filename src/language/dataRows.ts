import * as l10n from '@vscode/l10n';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parquetRows } from '../data/parquetRows.js';
import { DATA_EXTENSIONS, readRowsFrom } from '../data/readRows.js';
import { isBroken } from '../data/row.js';
import type { BrokenRow, ReadRow, Row } from '../data/row.js';
import { keptByVersion } from './modelCache.js';

/** The start of a data file. */
export interface FirstRows {
  readonly file: string;
  /** Size of the file. */
  readonly bytes: number;
  /** At most {@link MOST_ROWS}. */
  readonly rows: readonly Row[];
  /** Among these rows, those that cannot be read. */
  readonly broken: readonly BrokenRow[];
  /** How many rows the file has, where all of it was read. */
  readonly count?: number;
  /** Why there are no rows. */
  readonly problem?: Problem;
}

/** As many as training looks at to tell the format. */
const MOST_ROWS = 32;
/** Read of a file, whatever its size: 32 rows of 32 kB. */
const MOST_BYTES = 2 ** 20;
/** A Parquet file's first rows are decoded with their whole group: larger files are not looked into while typing. */
const MOST_PARQUET_BYTES = 16 * 2 ** 20;
/** Files remembered: those of the open run files. */
const KEPT = 32;

const files = keptByVersion<FirstRows>(KEPT);

/** The first rows of a data file, read anew only when its time or size is another. Undefined where there is no file. */
export async function firstRows(file: string, signal?: AbortSignal): Promise<FirstRows | undefined> {
  const start = await startOf(file, signal);
  if (start === undefined) return undefined;
  const { bytes, version, rows, whole } = start;
  return files(file, version, async () => {
    try {
      return await gather(file, bytes, rows, whole);
    } catch (error) {
      return { file, bytes, rows: [], broken: [], problem: problemOf(error) };
    }
  });
}

/** As much of a data file as is read while typing. */
export interface FileStart {
  /** Size of the file. */
  readonly bytes: number;
  /** Its time and size. */
  readonly version: string;
  /** To be gone through once; nothing is read before. A problem is thrown by the first. */
  readonly rows: AsyncIterable<ReadRow>;
  /** Whether these are all rows of the file. */
  readonly whole: boolean;
}

/** The start of a data file. Undefined where there is no file. */
export async function startOf(file: string, signal?: AbortSignal): Promise<FileStart | undefined> {
  const found = await stat(file).catch(() => undefined);
  signal?.throwIfAborted();
  if (found === undefined || !found.isFile()) return undefined;
  const { size: bytes, mtimeMs } = found;
  const extension = DATA_EXTENSIONS.find((known) => known === path.extname(file).toLowerCase());
  const most = extension === '.parquet' ? MOST_PARQUET_BYTES : MOST_BYTES;
  // Of what is no data file there is nothing more to read.
  const whole = extension === undefined || bytes <= most;
  return { bytes, version: `${bytes}:${mtimeMs}`, rows: rowsOf(file, bytes, extension, whole), whole };
}

/** The names of the columns that rows have, in the order in which they come. */
export function columnsOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.flatMap(({ value }) => (typeof value === 'string' ? [] : Object.keys(value))))];
}

async function* rowsOf(
  file: string,
  bytes: number,
  extension: (typeof DATA_EXTENSIONS)[number] | undefined,
  whole: boolean,
): AsyncGenerator<ReadRow> {
  if (extension === undefined) {
    return fail({
      code: 'data.unknown-extension',
      message: l10n.t`the extension "${path.extname(file)}" is not known`,
      expected: l10n.t`one of ${DATA_EXTENSIONS.join(', ')}`,
      mend: l10n.t`Convert or rename the file.`,
    });
  }
  if (extension === '.parquet') {
    if (whole) yield* parquetRows(file);
    return;
  }
  const start = await readStart(file, whole ? bytes : MOST_BYTES);
  const text = whole ? start : start.subarray(0, lastWhole(start, extension));
  yield* readRowsFrom(once(text), file, extension);
}

/** Takes the first rows; where the file goes on behind what was read, the last may be broken by the cut alone. */
async function gather(
  file: string,
  bytes: number,
  read: AsyncIterable<ReadRow>,
  whole: boolean,
): Promise<FirstRows> {
  const rows: Row[] = [];
  const broken: BrokenRow[] = [];
  let count = 0;
  try {
    for await (const row of read) {
      count++;
      if (rows.length + broken.length < MOST_ROWS) {
        if (isBroken(row)) broken.push(row);
        else rows.push(row);
      } else if (!whole) break;
    }
  } catch (error) {
    // A cut-off text may hold no whole row.
    if (whole) throw error;
  }
  if (whole) return { file, bytes, rows, broken, count };
  const last = rows.at(-1)?.line ?? 0;
  return { file, bytes, rows, broken: broken.filter(({ line }) => line < last) };
}

async function readStart(file: string, bytes: number): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    const { bytesRead } = await handle.read(buffer, 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Where a text can be cut: behind a line; in JSON, whose rows are no lines, not within a character. */
function lastWhole(bytes: Buffer, extension: string): number {
  if (extension !== '.json') return bytes.lastIndexOf(0x0a) + 1;
  let end = bytes.length;
  while (end > 0 && bytes[end - 1]! >= 0x80) end--;
  return end;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
