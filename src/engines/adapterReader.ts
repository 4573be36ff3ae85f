import path from 'node:path';
import { readAdapter } from '../adapters/readAdapter.js';
import type { AttachContext } from '../methods/method.js';

/**
 * Reads adapters that a run file names.
 * @param folder where relative paths start
 */
export function adapterReader(folder: string): NonNullable<AttachContext['readAdapter']> {
  return async (named) => {
    const adapter = await readAdapter(path.resolve(folder, named));
    return { config: adapter.config, tensors: await adapter.loadTensors(), source: adapter.folder };
  };
}
