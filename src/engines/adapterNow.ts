import path from 'node:path';
import type { Started } from '../training/events.js';

/**
 * Where the adapter lies that a run's record names: a run that was moved took it along. A place outside of the folder
 * that the run was in stays what it is.
 * @param folder where the run lies now
 */
export function adapterNow(folder: string, started: Started | undefined, adapter: string): string {
  // A record of another program may not say where it was.
  if (typeof started?.folder !== 'string') return adapter;
  const within = path.relative(started.folder, adapter);
  const isInside = within !== '' && !path.isAbsolute(within) && within.split(path.sep)[0] !== '..';
  return isInside ? path.join(folder, within) : adapter;
}
