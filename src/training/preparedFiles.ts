import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Prepared } from '../methods/method.js';
import { readSafetensor, readSafetensorInt32, readSafetensorsHeader } from '../models/safetensors.js';
import { writeSafetensors } from '../models/writeSafetensors.js';

const NAME = /^prepared-(\d+)\.safetensors$/;

/**
 * Keeps what the methods found out, a file per method that had to: before a run in its folder, so that a resumed run has
 * the same; of methods that were attached anew on the way also in each checkpoint. Returns it.
 *
 * @param prepared in the order of the methods
 */
export async function writePrepared(
  folder: string,
  prepared: readonly (Prepared | undefined)[],
): Promise<readonly (Prepared | undefined)[]> {
  for (const [index, found] of prepared.entries()) {
    if (found === undefined) continue;
    const tensors = [...found].map(([name, data]) => {
      const shape = [data.length];
      return data instanceof Int32Array
        ? { name, shape, dtype: 'I32' as const, data }
        : { name, shape, dtype: 'F32' as const, data };
    });
    await writeSafetensors(path.join(folder, `prepared-${index}.safetensors`), tensors);
  }
  return prepared;
}

/** What {@link writePrepared} kept in a folder, by the methods' places. */
export async function readPrepared(folder: string): Promise<(Prepared | undefined)[]> {
  const prepared: (Prepared | undefined)[] = [];
  for (const name of await readdir(folder)) {
    const index = NAME.exec(name)?.[1];
    if (index !== undefined) prepared[Number(index)] = await readAll(path.join(folder, name));
  }
  return prepared;
}

/** The bytes of it, headers apart. */
export function preparedBytes(prepared: readonly (Prepared | undefined)[]): number {
  const all = prepared.flatMap((found) => [...(found?.values() ?? [])]);
  return all.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

async function readAll(file: string): Promise<Prepared> {
  const header = await readSafetensorsHeader(file);
  const found = new Map<string, Float32Array | Int32Array>();
  for (const [name, { dtype }] of header.tensors) {
    found.set(name, await (dtype === 'I32' ? readSafetensorInt32(header, name) : readSafetensor(header, name)));
  }
  return found;
}
