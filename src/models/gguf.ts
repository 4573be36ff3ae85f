import * as l10n from '@vscode/l10n';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { fail } from '../common/problem.js';
import type { GgufType } from './ggufTypes.js';
import { ggufType, ggufTypeName, supportedGgufTypes } from './ggufTypes.js';
import { readExactly } from './safetensors.js';
import { checkSpans, elementCount } from './tensorSpans.js';

/** Big models have some 2,000 tensors and 60 keys: the limits leave room and stop absurd claims early. */
const MAX_TENSORS = 65_536;
const MAX_KEYS = 65_536;
const MAX_NAME_BYTES = 1024;
/** The longest strings in use are chat templates. */
const MAX_STRING_BYTES = 4 * 1024 * 1024;
/** Elements of all arrays together: vocabularies have up to 300,000 tokens and 600,000 merges. */
const MAX_ELEMENTS = 8_000_000;
const MAX_NESTING = 4;
/** GGML_MAX_DIMS. */
const MAX_RANK = 4;
const MAX_ALIGNMENT = 1 << 20;
/** Everything before the data; the biggest vocabularies make some 20 MB. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;

/** A metadata value; integers that a double cannot hold exactly are bigint. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

export interface GgufHeader {
  readonly file: string;
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Where each key lies with its value, so that it can be copied as it is. */
  readonly spans: ReadonlyMap<string, GgufSpan>;
  /** `general.alignment`, or what stands for it. */
  readonly alignment: number;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** In bytes from the file's start. */
export interface GgufSpan {
  readonly offset: number;
  readonly length: number;
}

export interface GgufTensor extends GgufSpan {
  readonly type: GgufType;
  /** Row-major, slowest dimension first ([out, in] for a linear layer): GGUF's own order reversed. */
  readonly shape: readonly number[];
}

/**
 * Reads and checks the header of a GGUF file (versions 2 and 3, little-endian); no weights are read. Every
 * count and length is checked against its limit and against what is left of the file before it is used.
 * Throws a ProblemError with a `gguf.*` code.
 */
export function readGgufHeader(file: string): GgufHeader {
  const descriptor = openSync(file, 'r');
  try {
    return parse(makeCursor(descriptor, file));
  } finally {
    closeSync(descriptor);
  }
}

/** One tensor as float32, row-major. Error: `gguf.unknown-tensor`. */
export async function readGgufTensor(header: GgufHeader, name: string): Promise<Float32Array> {
  const { file } = header;
  const tensor = header.tensors.get(name);
  if (!tensor)
    return fail({ code: 'gguf.unknown-tensor', message: l10n.t`there is no tensor ${name}`, where: { file } });
  const handle = await open(file, 'r');
  try {
    return tensor.type.dequantize(await readExactly(handle, file, tensor.offset, tensor.length));
  } finally {
    await handle.close();
  }
}

/** Reads values one after the other; refuses to pass the end of the file. */
interface Cursor {
  readonly file: string;
  readonly size: number;
  position(): number;
  u8(): number;
  u32(): number;
  u64(): number | bigint;
  /** The next bytes; valid until the next call. */
  view(length: number): DataView;
  /** A UTF-8 string with its 8-byte length. */
  text(what: string, maxBytes: number): string;
  /** A 64-bit count that is at most `max` and leaves `bytesEach` bytes in the file for each. */
  count(what: string, max: number, bytesEach: number): number;
}

function makeCursor(descriptor: number, file: string): Cursor {
  const { size } = fstatSync(descriptor);
  let window = new Uint8Array(Math.min(1 << 20, size));
  let windowStart = 0;
  let windowLength = 0;
  let position = 0;
  // A byte order mark is a token of its own in some vocabularies: none is taken away.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  const view = (length: number): DataView => {
    if (length > size - position || position + length > MAX_HEADER_BYTES) {
      fail({
        code: 'gguf.too-short',
        message: l10n.t`the header goes on past byte ${Math.min(size, MAX_HEADER_BYTES)}; the file has ${size}`,
        where: { file },
        mend: l10n.t`The file is cut short or damaged: download it again.`,
      });
    }
    if (position < windowStart || position + length > windowStart + windowLength) {
      if (length > window.length) window = new Uint8Array(length);
      windowStart = position;
      windowLength = 0;
      while (windowLength < length) {
        const read = readSync(
          descriptor,
          window,
          windowLength,
          window.length - windowLength,
          position + windowLength,
        );
        if (read === 0)
          fail({
            code: 'checkpoint.changed',
            message: l10n.t`the file shrank while it was read`,
            where: { file },
          });
        windowLength += read;
      }
    }
    const result = new DataView(window.buffer, position - windowStart, length);
    position += length;
    return result;
  };
  const u64 = () => exact(view(8).getBigUint64(0, true));
  const count = (what: string, max: number, bytesEach: number): number => {
    const claimed = u64();
    const room = (size - position) / bytesEach;
    if (typeof claimed === 'bigint' || claimed > max || claimed > room) {
      fail({
        code: 'gguf.count',
        message: l10n.t`${what} is given as ${String(claimed)}`,
        where: { file },
        expected: l10n.t`at most ${Math.floor(Math.min(max, room))}, by PEFT Studio's limits and the file's size of ${size} bytes`,
        mend: l10n.t`The file is damaged: download it again.`,
      });
    }
    return claimed;
  };
  return {
    file,
    size,
    position: () => position,
    u8: () => view(1).getUint8(0),
    u32: () => view(4).getUint32(0, true),
    u64,
    view,
    count,
    text: (what, maxBytes) => decoder.decode(view(count(l10n.t`the length of ${what}`, maxBytes, 1))),
  };
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function parse(cursor: Cursor): GgufHeader {
  const { file } = cursor;
  const version = readVersion(cursor);
  const tensorCount = cursor.count(l10n.t`the number of tensors`, MAX_TENSORS, 24);
  const keyCount = cursor.count(l10n.t`the number of metadata keys`, MAX_KEYS, 13);
  const metadata = new Map<string, GgufValue>();
  const spans = new Map<string, GgufSpan>();
  const budget = { elements: MAX_ELEMENTS };
  for (let i = 0; i < keyCount; i++) {
    const offset = cursor.position();
    const key = cursor.text(l10n.t`a metadata key`, MAX_NAME_BYTES);
    if (metadata.has(key)) {
      fail({ code: 'gguf.duplicate', message: l10n.t`the metadata key ${key} occurs twice`, where: { file } });
    }
    metadata.set(key, readValue(cursor, cursor.u32(), key, budget, 0));
    spans.set(key, { offset, length: cursor.position() - offset });
  }
  const alignment = readAlignment(file, metadata);
  const claims = Array.from({ length: tensorCount }, () => readTensorInfo(cursor));
  const dataStart = Math.ceil(cursor.position() / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const { name, type, shape, length, relative } of claims) {
    if (tensors.has(name)) {
      fail({ code: 'gguf.duplicate', message: l10n.t`two tensors are called ${name}`, where: { file } });
    }
    if (relative % alignment !== 0) {
      fail({
        code: 'gguf.alignment',
        message: l10n.t`tensor ${name} starts at byte ${relative} of the data`,
        where: { file },
        expected: l10n.t`a multiple of the file's alignment, ${alignment}`,
      });
    }
    tensors.set(name, { type, shape, offset: dataStart + relative, length });
  }
  checkSpans(
    [...tensors].map(([name, { offset, length }]) => ({ name, offset, length })),
    { file, start: dataStart, end: cursor.size, code: 'gguf', gaps: 'accept' },
  );
  return { file, version, metadata, spans, alignment, tensors };
}

function readVersion(cursor: Cursor): number {
  const where = { file: cursor.file };
  const magic = cursor.size < 8 ? 0 : cursor.u32();
  if (magic !== 0x46554747) {
    fail({
      code: 'gguf.magic',
      message: l10n.t`the file does not start with "GGUF"`,
      where,
      expected: l10n.t`a GGUF file`,
      mend: l10n.t`Download it again (a git-lfs pointer or an interrupted download looks like this).`,
    });
  }
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const bigEndian = version === 0x02000000 || version === 0x03000000;
  return fail({
    code: 'gguf.version',
    message: bigEndian ? l10n.t`the file is big-endian` : l10n.t`the file has GGUF version ${version}`,
    where,
    expected: l10n.t`version 2 or 3, little-endian`,
    mend: l10n.t`Convert the model again with a current llama.cpp.`,
  });
}

/** GGUF's value types: how many bytes a value takes at least, by type number. */
const VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];
const STRING_TYPE = 8;
const ARRAY_TYPE = 9;

function readValue(
  cursor: Cursor,
  type: number,
  key: string,
  budget: { elements: number },
  depth: number,
): GgufValue {
  switch (type) {
    case 0:
      return cursor.u8();
    case 1:
      return cursor.view(1).getInt8(0);
    case 2:
      return cursor.view(2).getUint16(0, true);
    case 3:
      return cursor.view(2).getInt16(0, true);
    case 4:
      return cursor.u32();
    case 5:
      return cursor.view(4).getInt32(0, true);
    case 6:
      return cursor.view(4).getFloat32(0, true);
    case 7:
      return cursor.u8() !== 0;
    case STRING_TYPE:
      return cursor.text(l10n.t`the value of ${key}`, MAX_STRING_BYTES);
    case ARRAY_TYPE:
      return readArray(cursor, key, budget, depth + 1);
    case 10:
      return cursor.u64();
    case 11:
      return exact(cursor.view(8).getBigInt64(0, true));
    case 12:
      return cursor.view(8).getFloat64(0, true);
    default:
      return fail({
        code: 'gguf.value-type',
        message: l10n.t`the metadata key ${key} has value type ${type}`,
        where: { file: cursor.file },
        expected: l10n.t`a number from 0 to 12`,
        mend: l10n.t`The file is damaged: download it again.`,
      });
  }
}

function readArray(cursor: Cursor, key: string, budget: { elements: number }, depth: number): GgufValue[] {
  if (depth > MAX_NESTING) {
    fail({
      code: 'gguf.nesting',
      message: l10n.t`arrays in ${key} are nested deeper than ${MAX_NESTING} levels`,
      where: { file: cursor.file },
    });
  }
  const type = cursor.u32();
  const length = cursor.count(l10n.t`the array length of ${key}`, budget.elements, VALUE_BYTES[type] ?? 1);
  budget.elements -= length;
  const values: GgufValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(cursor, type, key, budget, depth));
  return values;
}

function readAlignment(file: string, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment === 'number' && alignment > 0 && alignment <= MAX_ALIGNMENT && alignment % 8 === 0) {
    return alignment;
  }
  return fail({
    code: 'gguf.alignment',
    message: l10n.t`general.alignment is ${String(alignment).slice(0, 100)}`,
    where: { file },
    expected: l10n.t`a multiple of 8, at most ${MAX_ALIGNMENT}`,
  });
}

interface TensorClaim {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  readonly length: number;
  readonly relative: number;
}

function readTensorInfo(cursor: Cursor): TensorClaim {
  const where = { file: cursor.file };
  const name = cursor.text(l10n.t`a tensor name`, MAX_NAME_BYTES);
  const rank = cursor.u32();
  if (rank > MAX_RANK) {
    fail({
      code: 'gguf.shape',
      message: l10n.t`tensor ${name} has ${rank} dimensions`,
      where,
      expected: l10n.t`at most ${MAX_RANK}`,
    });
  }
  const dims = Array.from({ length: rank }, () => cursor.u64());
  const typeId = cursor.u32();
  const relative = cursor.u64();
  const type = ggufType(typeId);
  if (!type) {
    return fail({
      code: 'gguf.type',
      message: l10n.t`tensor ${name} has type ${ggufTypeName(typeId)}`,
      where,
      expected: l10n.t`one of ${supportedGgufTypes().join(', ')}`,
      mend: l10n.t`Use a GGUF file of the model in one of these types, such as Q8_0 or F16.`,
    });
  }
  const shape = dims.flatMap((size) => (typeof size === 'number' ? [size] : [])).reverse();
  const count = elementCount(shape);
  const row = shape.at(-1) ?? 1;
  if (shape.length !== rank || count === undefined || shape.includes(0) || row % type.blockSize !== 0) {
    return fail({
      code: 'gguf.shape',
      message: l10n.t`tensor ${name} has dimensions ${dims.join(' × ')} and type ${type.name}`,
      where,
      expected: l10n.t`sizes from 1 up, the first a multiple of ${type.blockSize}, in all less than 2^53 values`,
    });
  }
  if (typeof relative === 'bigint') {
    return fail({
      code: 'gguf.span',
      message: l10n.t`tensor ${name} is said to start at byte ${String(relative)}`,
      where,
    });
  }
  return { name, type, shape, length: (count / type.blockSize) * type.blockBytes, relative };
}
