import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

/** Whether a folder holds at least one safetensors file that is not empty. */
export async function holdsWeights(folder: string): Promise<boolean> {
  try {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'));
    const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(folder, name))).size));
    return sizes.some((size) => size > 0);
  } catch {
    return false;
  }
}
