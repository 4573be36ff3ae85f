import * as l10n from '@vscode/l10n';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetRead, parquetSchema } from 'hyparquet';
import type { FileMetaData, ParquetParsers, RowGroup, SchemaTree } from 'hyparquet';
import type { Json, JsonObject } from '../common/json.js';
import { ProblemError, fail, messageOf } from '../common/problem.js';
import type { Place } from '../common/problem.js';
import { formatBytes } from '../common/format.js';
import { MAX_NESTING } from './jsonText.js';
import { decodeUtf8 } from './lines.js';
import { CODECS, KNOWN_CODECS } from './parquetCodecs.js';
import { MAX_CHUNK_VALUES, checkPages, leafLevels } from './parquetPages.js';
import { listNames } from './row.js';
import type { Row } from './row.js';

/** Footers of real files have some kB per row group. */
const MAX_FOOTER_BYTES = 64 * 2 ** 20;
/** Columns, structs counted with their parts. */
const MAX_SCHEMA = 10_000;
/** A row group is decoded as a whole: on the disk and unpacked it may have so many bytes. */
const MAX_GROUP_BYTES = 512 * 2 ** 20;

/**
 * Streams the rows of a Parquet file, a row group at a time, as the same rows in JSON lines would come: text, numbers,
 * lists, structs as objects. What JSON has not is given by name: whole numbers beyond 2⁵³ and dates as text (ISO 8601),
 * bytes that are no text as `{ "bytes": <how many> }`, NaN as null. `line` is the number of the row, from 1.
 * Errors: `data.parquet`, `data.parquet-codec`, `data.parquet-too-large`, `data.parquet-columns`; they name the rows.
 */
export async function* parquetRows(file: string): AsyncGenerator<Row> {
  const handle = await open(file, 'r');
  try {
    yield* rowsOf(file, handle, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

async function* rowsOf(file: string, handle: FileHandle, byteLength: number): AsyncGenerator<Row> {
  const buffer = {
    byteLength,
    slice: async (start: number, end = byteLength) => (await readBytes(handle, start, end, byteLength)).buffer,
  };
  const { metadata, tree } = await readMetadata(file, buffer);
  const names = columnNames(file, tree);
  let first = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    const where = { file, line: first + 1 };
    const span = l10n.t`rows ${first + 1} to ${first + count}`;
    if (count === 0) continue;
    let rows: readonly (readonly unknown[])[] = [];
    try {
      await checkGroup(where, span, group, tree, (start, end) => readBytes(handle, start, end, byteLength));
      await parquetRead({
        file: buffer,
        metadata,
        rowStart: first,
        rowEnd: first + count,
        compressors: CODECS,
        parsers: PARSERS,
        geoparquet: false,
        onComplete: (read) => (rows = read),
      });
    } catch (error) {
      unreadable(where, l10n.t`${span} cannot be read`, error);
    }
    if (rows.length !== count) unreadable(where, l10n.t`${rows.length} rows where ${count} are claimed`);
    for (const [index, row] of rows.entries()) {
      const value: JsonObject = Object.fromEntries(names.map((name, at) => [name, toJson(row[at])]));
      yield { line: first + index + 1, value };
    }
    first += count;
  }
}

async function readMetadata(
  file: string,
  buffer: { byteLength: number; slice: (start: number, end?: number) => Promise<ArrayBuffer> },
): Promise<{ metadata: FileMetaData; tree: SchemaTree }> {
  const where = { file };
  if (buffer.byteLength < 12) unreadable(where, l10n.t`the file has ${buffer.byteLength} bytes`);
  const end = new DataView(await buffer.slice(buffer.byteLength - 8));
  const mark = String.fromCharCode(...new Uint8Array(end.buffer, 4));
  if (mark === 'PARE') unreadable(where, l10n.t`the file is encrypted`);
  if (mark !== 'PAR1') unreadable(where, l10n.t`the file does not end as Parquet files do`);
  const length = end.getUint32(0, true);
  if (length > MAX_FOOTER_BYTES)
    unreadable(where, l10n.t`the footer has ${length} bytes; at most ${MAX_FOOTER_BYTES} are read`);
  try {
    const metadata = await parquetMetadataAsync(buffer, { parsers: PARSERS, geoparquet: false });
    if (!metadata.schema.every(({ name }) => typeof name === 'string')) throw new Error('a column has no name');
    return { metadata, tree: parquetSchema(metadata) };
  } catch (error) {
    return unreadable(where, l10n.t`the footer cannot be read`, error);
  }
}

/** The names of the columns, in the order of the rows' values. */
function columnNames(file: string, tree: SchemaTree): string[] {
  const names = tree.children.map(({ element }) => element.name);
  const [size, depth] = measure(tree);
  const wrong =
    names.length === 0
      ? l10n.t`the file has no columns`
      : size > MAX_SCHEMA
        ? l10n.t`the schema has ${size} parts; at most ${MAX_SCHEMA} are read`
        : depth > MAX_NESTING
          ? l10n.t`the columns are nested ${depth} levels deep; at most ${MAX_NESTING} are read`
          : new Set(names).size < names.length
            ? l10n.t`columns have the same name; columns found: ${listNames(names)}`
            : undefined;
  if (wrong === undefined) return names;
  return fail({
    code: 'data.parquet-columns',
    message: wrong,
    where: { file },
    mend: l10n.t`Write the file again with the columns that are needed, each under a name of its own.`,
  });
}

function measure(node: SchemaTree): [size: number, depth: number] {
  let [size, depth] = [1, 0];
  for (const child of node.children) {
    const [parts, levels] = measure(child);
    size += parts;
    depth = Math.max(depth, levels + 1);
  }
  return [size, depth];
}

/** Holds all that a row group claims against limits and against its bytes, before it is decoded. */
async function checkGroup(
  where: Place,
  span: string,
  group: RowGroup,
  tree: SchemaTree,
  read: (start: number, end: number) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const leaves = [...leafLevels(tree)];
  if (group.columns.length !== leaves.length) {
    throw new Error(`${group.columns.length} columns where the schema has ${leaves.length}`);
  }
  let unpacked = 0;
  for (const [index, [name, levels]] of leaves.entries()) {
    const meta = group.columns[index]?.meta_data;
    if (meta === undefined || meta.path_in_schema.join('.') !== name) throw new Error(`column ${name} is missing`);
    if (!KNOWN_CODECS.has(meta.codec)) unknownCodec(where, name, String(meta.codec));
    if (meta.num_values < group.num_rows) throw new Error(`column ${name} has ${String(meta.num_values)} values`);
    if (meta.num_values > MAX_CHUNK_VALUES)
      tooLarge(where, span, l10n.t`column ${name} has ${String(meta.num_values)} values`);
    if (meta.total_compressed_size > MAX_GROUP_BYTES) tooLarge(where, span, l10n.t`column ${name} is too long`);
    const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
    const bytes = await read(start, start + Number(meta.total_compressed_size));
    try {
      unpacked += checkPages(bytes, { meta, ...levels });
    } catch (error) {
      throw new Error(`column ${name}: ${messageOf(error)}`, { cause: error });
    }
    if (unpacked > MAX_GROUP_BYTES)
      tooLarge(where, span, l10n.t`together they have more than ${formatBytes(MAX_GROUP_BYTES)}`);
  }
}

async function readBytes(
  handle: FileHandle,
  start: number,
  end: number,
  byteLength: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!(Number.isSafeInteger(start) && start >= 0 && end >= start && end <= byteLength)) {
    throw new Error(`bytes ${start} to ${end} of a file of ${byteLength}`);
  }
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    at += bytesRead;
  }
  return bytes;
}

const decode = (bytes: Uint8Array): Json => decodeUtf8(bytes) ?? { bytes: bytes.length };

/** Values as JSON has them. Bytes that no type says more of are text in many old files. */
const PARSERS: Partial<ParquetParsers> = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decode(bytes),
  jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && decode(bytes),
  timestampFromMilliseconds: (value: bigint) => time(BigInt(value)),
  timestampFromMicroseconds: (value: bigint) => time(BigInt(value) / 1000n),
  timestampFromNanoseconds: (value: bigint) => time(BigInt(value) / 1_000_000n),
  dateFromDays: (days: number) => time(BigInt(days) * 86_400_000n).slice(0, 'YYYY-MM-DD'.length),
};

/** ISO 8601; milliseconds beyond what a date can be as they are. */
function time(milliseconds: bigint): string {
  const date = new Date(Number(milliseconds));
  return Number.isNaN(date.getTime()) ? String(milliseconds) : date.toISOString();
}

function toJson(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Uint8Array) return { bytes: value.length };
  if (Array.isArray(value)) return value.map(toJson);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, toJson(part)]));
}

function unreadable(where: Place, what: string, error?: unknown): never {
  if (error instanceof ProblemError) throw error;
  fail(
    {
      code: 'data.parquet',
      message: error === undefined ? what : `${what}: ${messageOf(error)}`,
      where,
      expected: l10n.t`a whole Parquet file`,
      mend: l10n.t`Download or write the file again.`,
    },
    error,
  );
}

function tooLarge(where: Place, span: string, what: string): never {
  fail({
    code: 'data.parquet-too-large',
    message: l10n.t`${span} are one row group, which is too large to be decoded: ${what}`,
    where,
    mend: l10n.t`Write the file with smaller row groups, in Python: pq.write_table(pq.read_table(FILE), NEW, row_group_size=10000).`,
  });
}

function unknownCodec(where: Place, column: string, codec: string): never {
  fail({
    code: 'data.parquet-codec',
    message: l10n.t`column ${column} is compressed with ${codec}`,
    where,
    expected: l10n.t`one of ${[...KNOWN_CODECS].join(', ')}`,
    mend: l10n.t`Write the file again, in Python: pq.write_table(pq.read_table(FILE), NEW, compression='zstd').`,
  });
}
