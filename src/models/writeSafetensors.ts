import * as l10n from '@vscode/l10n';
import type { FileHandle } from 'node:fs/promises';
import { writeAll, writeWhole } from '../common/files.js';
import type { Json } from '../common/json.js';
import { fail } from '../common/problem.js';
import { bytesOf, floatBytes } from './floatBytes.js';
import type { FloatType } from './floatBytes.js';
import { elementCount } from './tensorSpans.js';

/** Values converted and written at once: 4 MB of float32. */
const CHUNK = 1 << 20;

/** 32-bit integers, such as indices. */
export interface IntegersToWrite {
  readonly name: string;
  readonly dtype: 'I32';
  readonly shape: readonly number[];
  readonly data: Int32Array;
}

/** Reads a tensor, whole or part by part in the order of its values. */
export type TensorReader = () => Promise<Float32Array> | AsyncIterable<Float32Array>;

/** What {@link writeSafetensors} writes: values are float32, `dtype` is the type on disk. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: FloatType;
  readonly shape: readonly number[];
  /** Row-major values, or what produces them when their turn comes: only one tensor, or part of one, is in memory. */
  readonly data: Float32Array | TensorReader;
}

/**
 * Writes a safetensors file, whole or not at all, tensor by tensor in the order given. Data start at a
 * multiple of `alignment` bytes (8, as the reference implementation pads; 64 for files that are mapped).
 * Errors: `safetensors.duplicate`, `safetensors.data-length`.
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly (TensorToWrite | IntegersToWrite)[],
  metadata: Readonly<Record<string, string>> = {},
  options: { alignment?: number; onTensor?: (done: number, total: number) => void } = {},
): Promise<void> {
  await writeWhole(file, async (handle) => {
    const write = await startSafetensors(file, handle, tensors, metadata, options.alignment);
    for (const [index, tensor] of tensors.entries()) {
      await write(tensor.name, partsOf(tensor));
      options.onTensor?.(index + 1, tensors.length);
    }
  });
}

/** Writes a tensor to its place in a file. Error: `safetensors.data-length`. */
export type PlacedWrite = (
  name: string,
  parts: Iterable<Float32Array | Int32Array> | AsyncIterable<Float32Array | Int32Array>,
) => Promise<void>;

/**
 * Writes a safetensors file's header. Tensors then come in any order; all have to come before the file is whole.
 * Error: `safetensors.duplicate`.
 */
export async function startSafetensors(
  file: string,
  handle: FileHandle,
  tensors: readonly Pick<TensorToWrite | IntegersToWrite, 'name' | 'dtype' | 'shape'>[],
  metadata: Readonly<Record<string, string>> = {},
  alignment = 8,
): Promise<PlacedWrite> {
  const { header, offsets } = safetensorsHeader(
    file,
    tensors.map((tensor) => ({ ...tensor, length: bytesOfTensor(tensor) })),
    metadata,
    alignment,
  );
  await writeAll(handle, header, 0);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return async (name, parts) => {
    const { dtype, shape } = byName.get(name)!;
    const expected = elementCount(shape);
    let offset = header.length + offsets.get(name)!;
    let count = 0;
    for await (const values of parts) {
      count += values.length;
      // What is too much would lie where the next tensor does.
      if (expected !== undefined && count > expected) break;
      for (let at = 0; at < values.length; at += CHUNK) {
        const part = values.subarray(at, at + CHUNK);
        const isInteger = part instanceof Int32Array || dtype === 'I32';
        const bytes = isInteger ? bytesOf(part) : floatBytes(part, dtype);
        await writeAll(handle, bytes, offset);
        offset += bytes.length;
      }
    }
    if (count === expected) return;
    fail({
      code: 'safetensors.data-length',
      message: l10n.t`tensor ${name} was given ${count} values`,
      where: { file },
      expected: l10n.t`${String(expected)}, the product of its shape [${shape.join(', ')}]`,
    });
  };
}

function bytesOfTensor({ dtype, shape }: Pick<TensorToWrite | IntegersToWrite, 'dtype' | 'shape'>): number {
  return (elementCount(shape) ?? NaN) * (dtype === 'F32' || dtype === 'I32' ? 4 : 2);
}

async function* partsOf({
  data,
}: TensorToWrite | IntegersToWrite): AsyncGenerator<Float32Array | Int32Array, void, void> {
  if (typeof data !== 'function') return yield data;
  const read = data();
  if (Symbol.asyncIterator in read) yield* read;
  else yield await read;
}

/** A file's header, and where each tensor begins behind it. Error: `safetensors.duplicate`. */
export function safetensorsHeader(
  file: string,
  tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly length: number;
  }[],
  metadata: Readonly<Record<string, string>>,
  alignment = 8,
): { readonly header: Uint8Array; readonly offsets: ReadonlyMap<string, number> } {
  const offsets = new Map<string, number>();
  const entries = new Map<string, Json>();
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata);
  let offset = 0;
  for (const { name, dtype, shape, length } of tensors) {
    if (entries.has(name) || name === '__metadata__') {
      fail({ code: 'safetensors.duplicate', message: l10n.t`two tensors are called ${name}`, where: { file } });
    }
    entries.set(name, { dtype, shape, data_offsets: [offset, offset + length] });
    offsets.set(name, offset);
    offset += length;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil((8 + json.length) / alignment) * alignment;
  const bytes = new Uint8Array(length).fill(0x20); // the format pads with spaces
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length - 8), true);
  bytes.set(json, 8);
  return { header: bytes, offsets };
}
