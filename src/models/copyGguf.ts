import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { writeAll } from '../common/files.js';
import type { GgufHeader, GgufSpan } from './gguf.js';
import { UINT32_VALUE, join, text, u32, u64 } from './ggufBytes.js';
import type { GgufType } from './ggufTypes.js';
import { readExactly } from './safetensors.js';

/** Bytes copied at once. */
const CHUNK = 4 * 1024 * 1024;

/** A GGUF file in the making that is like another one but for some tensors and numbers. */
export interface GgufCopy {
  /** Writes a tensor of other numbers. @param parts its bytes as the type has them, row by row */
  put(name: string, type: GgufType, parts: Iterable<Uint8Array>): Promise<void>;
  /** Writes a tensor as the other file holds it, byte for byte. @param from its name there */
  keep(name: string, from: string): Promise<void>;
  /** Once all tensors are written: the header. @param numbers of the keys that are given anew */
  finish(numbers: Readonly<Record<string, number>>): Promise<void>;
}

/**
 * Starts a copy of a GGUF file: every key of its metadata as it lies there, but for those that are given anew. Tensors come
 * in any order and lie in it.
 *
 * @param tensors all that the copy will hold
 * @param keys whole numbers that the other file has differently or not at all
 */
export function startGgufCopy(
  header: GgufHeader,
  handle: FileHandle,
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  keys: readonly string[],
): GgufCopy {
  const { alignment } = header;
  const padded = (length: number): number => Math.ceil(length / alignment) * alignment;
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const kept = [...header.spans].filter(([key]) => !keys.includes(key));
  const headerBytes =
    24 +
    kept.reduce((sum, [, { length }]) => sum + length, 0) +
    keys.reduce((sum, key) => sum + 8 + Buffer.byteLength(key) + 8, 0) +
    tensors.reduce((sum, { name, shape }) => sum + 8 + Buffer.byteLength(name) + 16 + 8 * shape.length, 0);
  const dataStart = padded(headerBytes);
  const infos: Uint8Array[] = [];
  let offset = 0;
  const place = async (name: string, type: GgufType, write: (at: number) => Promise<number>): Promise<void> => {
    const end = await write(dataStart + offset);
    // GGUF's order of dimensions is the reverse.
    const dims = [...shapes.get(name)!].reverse().map(u64);
    infos.push(join(text(name), u32(dims.length), ...dims, u32(type.id), u64(offset)));
    offset = padded(end - dataStart);
  };
  return {
    put: (name, type, parts) =>
      place(name, type, async (at) => {
        let end = at;
        for (const bytes of parts) {
          await writeAll(handle, bytes, end);
          end += bytes.length;
        }
        return end;
      }),
    async keep(name, from) {
      const tensor = header.tensors.get(from)!;
      await place(name, tensor.type, (at) => copySpans(header.file, [tensor], handle, at));
    },
    async finish(numbers) {
      if (infos.length !== tensors.length) throw new Error('not all tensors have been written');
      const start = join(
        new TextEncoder().encode('GGUF'),
        u32(header.version),
        u64(tensors.length),
        u64(kept.length + keys.length),
      );
      await writeAll(handle, start, 0);
      const end = await copySpans(
        header.file,
        kept.map(([, span]) => span),
        handle,
        start.length,
      );
      const own = keys.map((key) => join(text(key), u32(UINT32_VALUE), u32(numbers[key]!)));
      const last = join(...own, ...infos);
      const padding = new Uint8Array(dataStart - end - last.length);
      await writeAll(handle, join(last, padding), end);
      // Behind the last tensor, too, a reader expects the padding.
      await handle.truncate(dataStart + offset);
    },
  };
}

/** @returns where the next byte goes */
async function copySpans(
  file: string,
  spans: readonly GgufSpan[],
  to: FileHandle,
  start: number,
): Promise<number> {
  const from = await open(file, 'r');
  let position = start;
  try {
    for (const { offset, length } of spans) {
      for (let at = 0; at < length; at += CHUNK) {
        const bytes = await readExactly(from, file, offset + at, Math.min(CHUNK, length - at));
        await writeAll(to, bytes, position);
        position += bytes.length;
      }
    }
  } finally {
    await from.close();
  }
  return position;
}
