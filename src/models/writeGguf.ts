import * as l10n from '@vscode/l10n';
import { writeWhole } from '../common/files.js';
import { fail } from '../common/problem.js';
import { floatBytes } from './floatBytes.js';
import { FLOAT32_VALUE, TEXT_VALUE, f32, join, text, u32, u64 } from './ggufBytes.js';
import { elementCount } from './tensorSpans.js';

/** What every reader takes where `general.alignment` is not given. */
const ALIGNMENT = 32;
const VERSION = 3;
/** GGUF's numbers of tensor types. */
const TENSOR_TYPES = { F32: 0, F16: 1 } as const;
/** Values converted and written at once: 4 MB of float32. */
const CHUNK = 1 << 20;
/** GGML_MAX_NAME without its final zero: llama.cpp refuses files with longer names. */
const MAX_NAME_BYTES = 63;

export type GgufFloatType = keyof typeof TENSOR_TYPES;

export interface GgufTensorToWrite {
  readonly name: string;
  readonly dtype: GgufFloatType;
  /** Row-major, slowest dimension first, as a reader of ours gives it. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Writes a GGUF file (version 3, little-endian), whole or not at all.
 * @param metadata texts, and numbers as float32
 * @throws ProblemError `gguf.duplicate`, `gguf.name`, `gguf.data-length`
 */
export async function writeGguf(
  file: string,
  metadata: Readonly<Record<string, string | number>>,
  tensors: readonly GgufTensorToWrite[],
): Promise<void> {
  const header = makeHeader(file, metadata, tensors);
  await writeWhole(file, async (handle) => {
    await handle.writeFile(header);
    for (const { data, dtype } of tensors) {
      for (let at = 0; at < data.length; at += CHUNK) {
        await handle.writeFile(floatBytes(data.subarray(at, at + CHUNK), dtype));
      }
      await handle.writeFile(
        new Uint8Array(padded(byteLength(data.length, dtype)) - byteLength(data.length, dtype)),
      );
    }
  });
}

function makeHeader(
  file: string,
  metadata: Readonly<Record<string, string | number>>,
  tensors: readonly GgufTensorToWrite[],
): Uint8Array {
  const entries = Object.entries(metadata);
  const parts: Uint8Array[] = [
    new TextEncoder().encode('GGUF'),
    u32(VERSION),
    u64(tensors.length),
    u64(entries.length),
    ...entries.flatMap(([key, value]) => [
      text(key),
      ...(typeof value === 'number' ? [u32(FLOAT32_VALUE), f32(value)] : [u32(TEXT_VALUE), text(value)]),
    ]),
  ];
  const names = new Set<string>();
  let offset = 0;
  for (const { name, dtype, shape, data } of tensors) {
    checkTensor(file, name, shape, data, names);
    names.add(name);
    // GGUF's order of dimensions is the reverse.
    parts.push(
      text(name),
      u32(shape.length),
      ...[...shape].reverse().map(u64),
      u32(TENSOR_TYPES[dtype]),
      u64(offset),
    );
    offset += padded(byteLength(data.length, dtype));
  }
  const header = join(...parts);
  return join(header, new Uint8Array(padded(header.length) - header.length));
}

function checkTensor(
  file: string,
  name: string,
  shape: readonly number[],
  { length }: Float32Array,
  before: ReadonlySet<string>,
): void {
  const where = { file };
  if (before.has(name)) fail({ code: 'gguf.duplicate', message: l10n.t`two tensors are called ${name}`, where });
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_NAME_BYTES) {
    fail({
      code: 'gguf.name',
      message: l10n.t`the name of tensor ${name} has ${bytes} bytes`,
      where,
      expected: l10n.t`at most ${MAX_NAME_BYTES}, which is what llama.cpp reads`,
    });
  }
  if (length !== elementCount(shape)) {
    fail({
      code: 'gguf.data-length',
      message: l10n.t`tensor ${name} was given ${length} values`,
      where,
      expected: l10n.t`${String(elementCount(shape))}, the product of its shape [${shape.join(', ')}]`,
    });
  }
}

const byteLength = (count: number, dtype: GgufFloatType): number => count * (dtype === 'F32' ? 4 : 2);
const padded = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;
