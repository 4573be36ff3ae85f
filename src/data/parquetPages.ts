import type { ColumnMetaData, PageHeader, SchemaTree } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { unpack } from './parquetCodecs.js';

/**
 * Most values in one column of a row group. Real groups have up to a million rows; a list counts with each of its
 * elements.
 */
export const MAX_CHUNK_VALUES = 2 ** 25;
/** Bit-packed runs are filled up to whole groups: by at most 63 groups of 8 (parquet-mr). */
const MAX_FILL = 504;

/** What is known of a column before its pages are read. */
export interface Column {
  readonly meta: ColumnMetaData;
  /** Deepest repetition and definition level of its values (Dremel encoding). */
  readonly repetition: number;
  readonly definition: number;
}

/** The columns of a schema in the order of the file, each under its path, joined by dots. */
export function leafLevels(tree: SchemaTree): Map<string, Omit<Column, 'meta'>> {
  const leaves = new Map<string, Omit<Column, 'meta'>>();
  const walk = (node: SchemaTree, repetition: number, definition: number): void => {
    if (node.children.length === 0) leaves.set(node.path.join('.'), { repetition, definition });
    for (const child of node.children) {
      const { repetition_type: type } = child.element;
      walk(child, repetition + (type === 'REPEATED' ? 1 : 0), definition + (type === 'REQUIRED' ? 0 : 1));
    }
  };
  walk(tree, 0, 0);
  return leaves;
}

/**
 * Checks a column of a row group before it is decoded: hyparquet takes counts as they stand, and a run of two
 * thousand million values has four bytes. So all counts are held against each other and against limits; then what
 * decoding takes is in proportion to {@link MAX_CHUNK_VALUES} and to what the pages unpack to. Throws plain errors.
 *
 * @param bytes the pages as they stand in the file
 * @returns bytes of all pages, unpacked
 */
export function checkPages(bytes: Uint8Array<ArrayBuffer>, column: Column): number {
  const { meta } = column;
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  let values = 0;
  let unpacked = 0;
  // As hyparquet goes through them.
  while (reader.offset < bytes.length - 1) {
    const header = parquetHeader(reader);
    const { compressed_page_size: length } = header;
    if (!(length >= 0 && length <= bytes.length - reader.offset)) throw new Error(`a page of ${length} bytes`);
    const page = bytes.subarray(reader.offset, reader.offset + length);
    reader.offset += length;
    const count = pageValues(header);
    if (!(count >= 0 && count <= MAX_CHUNK_VALUES)) throw new Error(`a page of ${count} values`);
    if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      values += count;
      if (BigInt(values) > meta.num_values)
        throw new Error(`more than the ${meta.num_values} values that it claims`);
      unpacked += checkRuns(page, header, count, column);
    } else unpacked += header.uncompressed_page_size;
  }
  if (BigInt(values) !== meta.num_values) throw new Error(`${values} values where it claims ${meta.num_values}`);
  return unpacked;
}

function pageValues(header: PageHeader): number {
  const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header;
  return (v1 ?? v2 ?? dictionary)?.num_values ?? NaN;
}

/** Checks the runs of a page's levels and dictionary indices; returns its bytes, unpacked. */
function checkRuns(page: Uint8Array, header: PageHeader, count: number, column: Column): number {
  const { meta } = column;
  const { data_page_header: v1, data_page_header_v2: v2, uncompressed_page_size: size } = header;
  const levels = [column.repetition, column.definition].map(bitWidth);
  let body: Uint8Array;
  let at = 0;
  if (v2 !== undefined) {
    const lengths = [v2.repetition_levels_byte_length, v2.definition_levels_byte_length];
    for (const [index, width] of levels.entries()) {
      if (width > 0) checkHybrid(page, at, at + lengths[index]!, width, count, true);
      at += lengths[index]!;
    }
    if (!(v2.num_nulls >= 0 && v2.num_nulls <= count)) throw new Error(`${v2.num_nulls} nulls of ${count} values`);
    if (!(at >= 0 && at <= page.length)) throw new Error('levels longer than their page');
    body = page.subarray(at);
    if (v2.is_compressed !== false) body = unpack(meta.codec, body, size - at);
    at = 0;
  } else {
    body = unpack(meta.codec, page, size);
    for (const width of levels) {
      if (width === 0) continue;
      const length = uint32(body, at);
      checkHybrid(body, at + 4, at + 4 + length, width, count, true);
      at += 4 + length;
    }
  }
  const encoding = (v1 ?? v2)?.encoding;
  if (encoding === 'RLE' || encoding === 'PLAIN_DICTIONARY' || encoding === 'RLE_DICTIONARY') {
    const truths = meta.type === 'BOOLEAN';
    const start = at + (truths ? 4 : 1);
    const width = truths ? 1 : (body[at] ?? 0);
    if (width > 32) throw new Error(`indices of ${width} bits`);
    // Nulls have no index: how many there are is known only after the levels are decoded.
    if (width > 0) checkHybrid(body, start, body.length, width, count, false);
  }
  return size;
}

/**
 * Walks over runs of the RLE / bit-packing hybrid without decoding them.
 * @param complete whether there have to be `count` values before `end`
 */
function checkHybrid(
  bytes: Uint8Array,
  start: number,
  end: number,
  width: number,
  count: number,
  complete: boolean,
): void {
  if (!(start >= 0 && start <= end && end <= bytes.length)) throw new Error('runs longer than their page');
  let at = start;
  let seen = 0;
  while (seen < count && at < end) {
    let header = 0;
    let shift = 0;
    for (let byte = 0x80; byte >= 0x80; shift += 7) {
      if (at >= end || shift > 28) throw new Error('a run without a length');
      byte = bytes[at++]!;
      header += (byte & 0x7f) * 2 ** shift;
    }
    const length = Math.floor(header / 2) * (header % 2 === 1 ? 8 : 1);
    if (length > count + MAX_FILL) throw new Error(`a run of ${length} values in a page of ${count}`);
    at += header % 2 === 1 ? (length / 8) * width : Math.ceil(width / 8);
    seen += length;
  }
  if (complete && (seen < count || at > end)) throw new Error(`${seen} levels of ${count}`);
}

function uint32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new Error('a page without its levels');
  return bytes[at]! + bytes[at + 1]! * 2 ** 8 + bytes[at + 2]! * 2 ** 16 + bytes[at + 3]! * 2 ** 24;
}

function bitWidth(level: number): number {
  return 32 - Math.clz32(level);
}
