import * as l10n from '@vscode/l10n';
import { writeWhole } from '../common/files.js';
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
  const header = makeHeader(file, tensors, metadata, options.alignment ?? 8);
  await writeWhole(file, async (handle) => {
    await handle.writeFile(header);
    for (const [index, tensor] of tensors.entries()) {
      const expected = elementCount(tensor.shape);
      let count = 0;
      for await (const values of partsOf(tensor)) {
        count += values.length;
        for (let at = 0; at < values.length; at += CHUNK) {
          const part = values.subarray(at, at + CHUNK);
          const isInteger = part instanceof Int32Array || tensor.dtype === 'I32';
          await handle.writeFile(isInteger ? bytesOf(part) : floatBytes(part, tensor.dtype));
        }
      }
      if (count !== expected) {
        fail({
          code: 'safetensors.data-length',
          message: l10n.t`tensor ${tensor.name} was given ${count} values`,
          where: { file },
          expected: l10n.t`${String(expected)}, the product of its shape [${tensor.shape.join(', ')}]`,
        });
      }
      options.onTensor?.(index + 1, tensors.length);
    }
  });
}

async function* partsOf({
  data,
}: TensorToWrite | IntegersToWrite): AsyncGenerator<Float32Array | Int32Array, void, void> {
  if (typeof data !== 'function') return yield data;
  const read = data();
  if (Symbol.asyncIterator in read) yield* read;
  else yield await read;
}

function makeHeader(
  file: string,
  tensors: readonly (TensorToWrite | IntegersToWrite)[],
  metadata: Readonly<Record<string, string>>,
  alignment: number,
): Uint8Array {
  const entries = new Map<string, Json>();
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (entries.has(name) || name === '__metadata__') {
      fail({ code: 'safetensors.duplicate', message: l10n.t`two tensors are called ${name}`, where: { file } });
    }
    const end = offset + (elementCount(shape) ?? NaN) * (dtype === 'F32' || dtype === 'I32' ? 4 : 2);
    entries.set(name, { dtype, shape, data_offsets: [offset, end] });
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil((8 + json.length) / alignment) * alignment;
  const bytes = new Uint8Array(length).fill(0x20); // the format pads with spaces
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length - 8), true);
  bytes.set(json, 8);
  return bytes;
}
