import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Whether a folder holds at least one safetensors file that is not empty: itself, or in a folder of its own for a task or
 * for a part of a fusion.
 */
export async function holdsWeights(folder: string): Promise<boolean> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const parts = entries.filter((entry) => entry.isDirectory());
    const inParts = parts.map(async ({ name }) => weightsIn(path.join(folder, name)));
    const files = (await Promise.all([weightsIn(folder), ...inParts])).flat();
    const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
    return sizes.some((size) => size > 0);
  } catch {
    return false;
  }
}

async function weightsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => name.endsWith('.safetensors')).map((name) => path.join(folder, name));
}
