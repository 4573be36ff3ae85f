import type { Problem } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { RunEvent } from '../training/events.js';
import type { Wishes } from '../training/wishes.js';
import type { ResumePoint } from './resumeRun.js';

/** What an engine is handed beside the run file. */
export interface RunControl {
  /** Receives every event, in order. */
  readonly emit: (event: RunEvent) => void;
  /** What was found in the run file that does not keep it from running; told with the coverage. */
  readonly warnings?: readonly Problem[];
  /** Asked between steps: true ends the run after the present step, with what has been learned so far. */
  readonly stopRequested: () => boolean;
  /** What else is asked between steps; absent: nothing. */
  readonly wishes?: Wishes;
  /** Where to go on; absent: a new run. */
  readonly resume?: ResumePoint;
}

/**
 * Runs a run file from data to adapter. Ends with a `finished` event; a run that cannot go on throws a
 * ProblemError, which the worker turns into `failed`.
 */
export type Engine = (run: LoadedRun, control: RunControl) => Promise<void>;
