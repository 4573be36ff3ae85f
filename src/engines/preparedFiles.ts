import path from 'node:path';
import { pathKind } from '../common/files.js';
import type { Prepared } from '../methods/method.js';
import { readSafetensor, readSafetensorInt32, readSafetensorsHeader } from '../models/safetensors.js';
import { writeSafetensors } from '../models/writeSafetensors.js';

/**
 * Keeps what the methods found out before a run in its folder, so that a resumed run has the same; a file per method
 * that had to find something out. Returns it.
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
    await writeSafetensors(fileOf(folder, index), tensors);
  }
  return prepared;
}

/** What {@link writePrepared} kept for so many methods. */
export async function readPrepared(folder: string, methods: number): Promise<(Prepared | undefined)[]> {
  const prepared: (Prepared | undefined)[] = [];
  for (let index = 0; index < methods; index++) {
    const file = fileOf(folder, index);
    prepared.push((await pathKind(file)) === 'file' ? await readAll(file) : undefined);
  }
  return prepared;
}

async function readAll(file: string): Promise<Prepared> {
  const header = await readSafetensorsHeader(file);
  const found = new Map<string, Float32Array | Int32Array>();
  for (const [name, { dtype }] of header.tensors) {
    found.set(name, await (dtype === 'I32' ? readSafetensorInt32(header, name) : readSafetensor(header, name)));
  }
  return found;
}

function fileOf(folder: string, index: number): string {
  return path.join(folder, `prepared-${index}.safetensors`);
}
