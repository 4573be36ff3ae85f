import * as l10n from '@vscode/l10n';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { withMend } from '../common/problem.js';
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

/**
 * What {@link writePrepared} kept in a folder, by the methods' places.
 * @param mend what to do about a damaged file: nobody can download or export what a run found out
 * @throws ProblemError `safetensors.*`
 */
export async function readPrepared(folder: string, mend: string): Promise<(Prepared | undefined)[]> {
  const prepared: (Prepared | undefined)[] = [];
  for (const name of await readdir(folder)) {
    const index = NAME.exec(name)?.[1];
    if (index !== undefined)
      prepared[Number(index)] = await withMend(mend, () => readAll(path.join(folder, name)));
  }
  return prepared;
}

/** What to do about a damaged file in a run's own folder. */
export function preparedMend(): string {
  return l10n.t`The file is damaged, and the run cannot go on without it: train anew from the run file.`;
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
