import * as l10n from '@vscode/l10n';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { refuseDevice } from '../common/files.js';
import type { Json } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { parseJson } from './boundedJson.js';
import { bf16ToF32, f16ToF32 } from './floatFormats.js';
import { checkSpans, elementCount } from './tensorSpans.js';

/** Header of 8 + 25 MB at most: a model of 100,000 tensors has about 12 MB; more is a hostile claim. */
const MAX_HEADER_BYTES = 25 * 1024 * 1024;
/** The deepest thing a header holds is a number in a shape: { name: { shape: [ … ] } }. */
const MAX_HEADER_DEPTH = 3;
/** No framework writes more dimensions. */
const MAX_RANK = 8;
/** Bytes per value of the format's types (those of at least one byte). */
const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ...['BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0'].map((name) => [name, 1] as const),
  ...['U16', 'I16', 'F16', 'BF16'].map((name) => [name, 2] as const),
  ...['U32', 'I32', 'F32'].map((name) => [name, 4] as const),
  ...['U64', 'I64', 'F64', 'C64'].map((name) => [name, 8] as const),
]);

/** The types that {@link readSafetensor} turns into float32. */
export const FLOAT_DTYPES: readonly string[] = ['F32', 'F16', 'BF16', 'F64'];

export interface SafetensorsHeader {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface SafetensorsEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes from the file's start. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/**
 * Reads and checks the header of a safetensors file; no weights are read. Trusts nothing: lengths are checked
 * against the file before anything is allocated, spans must fit shapes, lie in the file, neither overlap nor
 * leave holes. Throws a ProblemError with a `safetensors.*` code.
 */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  await refuseDevice(file, 'safetensors');
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const headerBytes = await readHeaderLength(handle, file, size);
    const bytes = await readExactly(handle, file, 8, headerBytes);
    return parseHeader(file, bytes, size);
  } finally {
    await handle.close();
  }
}

/** One tensor as float32, row-major. Errors: `safetensors.unknown-tensor`, `safetensors.dtype`. */
export async function readSafetensor(header: SafetensorsHeader, name: string): Promise<Float32Array> {
  const { dtype, offset, length } = floatEntry(header, name);
  const handle = await open(header.file, 'r');
  try {
    return floats(dtype, await readExactly(handle, header.file, offset, length));
  } finally {
    await handle.close();
  }
}

/** Bytes of a part: small beside a model, large beside the cost of a read. */
const PART_BYTES = 4 * 1024 * 1024;

/**
 * The same part by part, so that a large tensor is never held whole.
 * Errors: `safetensors.unknown-tensor`, `safetensors.dtype`.
 */
export async function* safetensorParts(header: SafetensorsHeader, name: string): AsyncGenerator<Float32Array> {
  const { dtype, offset, length } = floatEntry(header, name);
  const handle = await open(header.file, 'r');
  try {
    for (let at = 0; at < length; at += PART_BYTES) {
      const bytes = await readExactly(handle, header.file, offset + at, Math.min(PART_BYTES, length - at));
      yield floats(dtype, bytes);
    }
  } finally {
    await handle.close();
  }
}

function floatEntry({ file, tensors }: SafetensorsHeader, name: string): SafetensorsEntry {
  const entry = tensors.get(name);
  if (!entry)
    return fail({
      code: 'safetensors.unknown-tensor',
      message: l10n.t`there is no tensor ${name}`,
      where: { file },
    });
  const { dtype } = entry;
  if (!FLOAT_DTYPES.includes(dtype)) {
    fail({
      code: 'safetensors.dtype',
      message: l10n.t`tensor ${name} has type ${dtype}`,
      where: { file },
      expected: l10n.t`one of ${FLOAT_DTYPES.join(', ')}`,
      mend: l10n.t`Quantized checkpoints of this kind are not supported: use the model in float precision.`,
    });
  }
  return entry;
}

function floats(dtype: string, { buffer }: Uint8Array): Float32Array {
  switch (dtype) {
    case 'F16':
      return f16ToF32(new Uint16Array(buffer));
    case 'BF16':
      return bf16ToF32(new Uint16Array(buffer));
    case 'F64':
      return Float32Array.from(new Float64Array(buffer));
    default:
      return new Float32Array(buffer);
  }
}

/** One tensor of 32-bit integers. Errors: `safetensors.unknown-tensor`, `safetensors.dtype`. */
export async function readSafetensorInt32(header: SafetensorsHeader, name: string): Promise<Int32Array> {
  const { file } = header;
  const entry = header.tensors.get(name);
  if (entry?.dtype !== 'I32') {
    return fail({
      code: entry === undefined ? 'safetensors.unknown-tensor' : 'safetensors.dtype',
      message:
        entry === undefined ? l10n.t`there is no tensor ${name}` : l10n.t`tensor ${name} has type ${entry.dtype}`,
      where: { file },
      expected: 'I32',
    });
  }
  const handle = await open(file, 'r');
  try {
    const bytes = await readExactly(handle, file, entry.offset, entry.length);
    return new Int32Array(bytes.buffer);
  } finally {
    await handle.close();
  }
}

async function readHeaderLength(handle: FileHandle, file: string, size: number): Promise<number> {
  if (size < 8) {
    fail({
      code: 'safetensors.too-short',
      message: l10n.t`the file has ${size} bytes`,
      where: { file },
      expected: l10n.t`a safetensors file: 8 bytes of header length, the header, the data`,
      mend: l10n.t`Download the file again (a git-lfs pointer or an interrupted download looks like this).`,
    });
  }
  const claimed = new DataView((await readExactly(handle, file, 0, 8)).buffer).getBigUint64(0, true);
  if (claimed > BigInt(MAX_HEADER_BYTES)) {
    fail({
      code: 'safetensors.header-too-long',
      message: l10n.t`the header claims ${String(claimed)} bytes`,
      where: { file },
      expected: l10n.t`at most ${MAX_HEADER_BYTES}`,
      mend: l10n.t`This is no safetensors file, or a damaged one (a git-lfs pointer looks like this).`,
    });
  }
  if (8 + Number(claimed) > size) {
    fail({
      code: 'safetensors.header-too-long',
      message: l10n.t`the header claims ${String(claimed)} bytes, the file has ${size}`,
      where: { file },
      mend: l10n.t`The file is cut short: download it again.`,
    });
  }
  return Number(claimed);
}

function parseHeader(file: string, bytes: Uint8Array, fileSize: number): SafetensorsHeader {
  const where = { file };
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    fail({ code: 'safetensors.json', message: l10n.t`the header is not UTF-8`, where });
  }
  const json = parseJson(text, { file, code: 'safetensors', maxDepth: MAX_HEADER_DEPTH });
  if (!isJsonObject(json))
    fail({ code: 'safetensors.json', message: l10n.t`the header is no JSON object`, where });
  const dataStart = 8 + bytes.length;
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') metadata = parseMetadata(file, value);
    else tensors.set(name, parseEntry(file, name, value, dataStart));
  }
  checkSpans(
    [...tensors].map(([name, { offset, length }]) => ({ name, offset, length })),
    { file, start: dataStart, end: fileSize, code: 'safetensors', gaps: 'refuse' },
  );
  return { file, tensors, metadata };
}

function parseMetadata(file: string, value: Json): Record<string, string> {
  const entries = isJsonObject(value) ? Object.entries(value) : undefined;
  const strings = entries?.flatMap(([key, text]) => (typeof text === 'string' ? [[key, text] as const] : []));
  if (!strings || strings.length !== entries?.length) {
    fail({
      code: 'safetensors.metadata',
      message: l10n.t`__metadata__ holds something other than text`,
      where: { file },
      expected: l10n.t`an object of strings`,
    });
  }
  return Object.fromEntries(strings);
}

function parseEntry(file: string, name: string, value: Json, dataStart: number): SafetensorsEntry {
  const refuse = (message: string, expected: string, part: string): never =>
    fail({ code: `safetensors.${part}`, message: l10n.t`tensor ${name} ${message}`, where: { file }, expected });
  if (!isJsonObject(value))
    return refuse(l10n.t`is described by no object`, '{ dtype, shape, data_offsets }', 'entry');
  const extra = Object.keys(value).find((key) => !['dtype', 'shape', 'data_offsets'].includes(key));
  if (extra !== undefined) refuse(l10n.t`has an unknown key "${extra}"`, 'dtype, shape, data_offsets', 'entry');
  const dtype = value['dtype'];
  const shape = value['shape'];
  const offsets = value['data_offsets'];
  const width = typeof dtype === 'string' ? DTYPE_BYTES.get(dtype) : undefined;
  if (typeof dtype !== 'string' || width === undefined) {
    return refuse(
      l10n.t`has dtype ${JSON.stringify(dtype)}`,
      l10n.t`one of ${[...DTYPE_BYTES.keys()].join(', ')}`,
      'dtype',
    );
  }
  if (!isSizes(shape) || shape.length > MAX_RANK) {
    return refuse(
      l10n.t`has shape ${JSON.stringify(shape)?.slice(0, 200)}`,
      l10n.t`at most ${MAX_RANK} whole numbers from 0 up`,
      'shape',
    );
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return refuse(
      l10n.t`has data_offsets ${JSON.stringify(offsets)?.slice(0, 200)}`,
      l10n.t`two whole numbers, begin ≤ end, in bytes`,
      'offsets',
    );
  }
  const [begin, end] = offsets as [number, number];
  const count = elementCount(shape);
  if (count === undefined || count * width !== end - begin) {
    refuse(
      l10n.t`of shape [${shape.join(', ')}] and type ${dtype} has ${end - begin} bytes`,
      count === undefined ? l10n.t`a shape that fits in memory` : l10n.t`${count * width} bytes`,
      'size',
    );
  }
  return { dtype, shape, offset: dataStart + begin, length: end - begin };
}

function isSizes(value: Json | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}

/** Exactly `length` bytes from `offset`, in an array of their own (offset 0 of its buffer). */
export async function readExactly(
  handle: FileHandle,
  file: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    // Some systems read at most 2 GiB in one call.
    const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 1 << 30), offset + done);
    if (bytesRead === 0) {
      fail({
        code: 'checkpoint.changed',
        message: l10n.t`the file ended at byte ${offset + done} while it was read`,
        where: { file },
        mend: l10n.t`It was changed or cut while in use: start again when it is complete.`,
      });
    }
    done += bytesRead;
  }
  return bytes;
}
