import type { Liveness } from '../engines/findRuns.js';
import { isRunLive } from '../engines/liveEntry.js';
import { isGoing } from '../engines/runState.js';
import type { Runs } from './runs.js';

/** A run of the command line tells of itself by its events alone: one that said something so lately is going. */
const FRESH_MS = 60_000;

/** Whether a process works on the run of a folder, as far as this window can tell. */
export function livenessFor(runs: Runs): Liveness {
  return async (folder, lastEvent) => {
    if (folder === runs.present()?.about().folder) return isGoing(runs.state());
    return Date.now() - lastEvent < FRESH_MS || (await isRunLive(folder));
  };
}
