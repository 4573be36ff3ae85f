import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { writeAll, writeWhole } from '../common/files.js';
import { readExactly } from './safetensors.js';
import type { SafetensorsEntry, SafetensorsHeader } from './safetensors.js';
import { safetensorsHeader } from './writeSafetensors.js';

/** Bytes read and written at once. */
const CHUNK = 1 << 22;

/** A tensor as it lies in a file. */
export interface StoredTensor extends SafetensorsEntry {
  readonly name: string;
  readonly file: string;
}

/** The tensors of files, in the files' order. */
export function storedTensors(headers: readonly SafetensorsHeader[]): StoredTensor[] {
  return headers.flatMap(({ file, tensors }) => [...tensors].map(([name, entry]) => ({ ...entry, name, file })));
}

/** SHA-256 of a tensor's bytes, in hexadecimal. */
export async function hashOfTensor(tensor: StoredTensor): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of partsOf(tensor)) hash.update(part);
  return hash.digest('hex');
}

/**
 * Writes a safetensors file of tensors that lie in others, byte for byte, whole or not at all.
 * @param onTensor is told the SHA-256 of the bytes that were written
 */
export async function copySafetensors(
  file: string,
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, string>>,
  onTensor?: (tensor: StoredTensor, sha256: string) => void,
): Promise<void> {
  const { header } = safetensorsHeader(file, tensors, metadata);
  await writeWhole(file, async (handle) => {
    await writeAll(handle, header, 0);
    let offset = header.length;
    for (const tensor of tensors) {
      const hash = createHash('sha256');
      for await (const part of partsOf(tensor)) {
        hash.update(part);
        await writeAll(handle, part, offset);
        offset += part.length;
      }
      onTensor?.(tensor, hash.digest('hex'));
    }
  });
}

async function* partsOf({ file, offset, length }: StoredTensor): AsyncGenerator<Uint8Array, void, void> {
  const handle: FileHandle = await open(file, 'r');
  try {
    for (let at = 0; at < length; at += CHUNK) {
      yield await readExactly(handle, file, offset + at, Math.min(CHUNK, length - at));
    }
  } finally {
    await handle.close();
  }
}
