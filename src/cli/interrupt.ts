import { ProblemError, fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';

/** Exit code after Ctrl-C. */
export const INTERRUPTED = 130;

/** Signals that ask for an end, as a terminal or a service sends them to a whole group of processes. */
export const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Ctrl-C nearer to the one before than this is the same: `timeout -s INT` signals the process and then its group.
 * Nobody presses twice so fast, and the second would kill a run that is about to write its adapter.
 */
const SAME_SIGNAL_MS = 200;

const PROBLEM: Problem = { code: 'cli.interrupted', message: 'interrupted; nothing was left half written' };

/** Ctrl-C as something that work asks about, so that it ends at a place where nothing is half written. */
export interface Interrupt {
  /** To be called at each Ctrl-C. */
  readonly signal: () => void;
  /** As the first Ctrl-C, however often it is called: a closing terminal says so more than once. */
  readonly request: () => void;
  readonly requested: () => boolean;
  /** @throws ProblemError `cli.interrupted` after Ctrl-C */
  readonly check: () => void;
  /**
   * The result of work that does not ask, such as reading what somebody types.
   * @throws ProblemError `cli.interrupted` at Ctrl-C, without waiting for the work
   */
  readonly race: <Value>(work: Promise<Value>) => Promise<Value>;
  /** From now on, each Ctrl-C is told to the listener (the how-manieth it is), which decides what the second does. */
  readonly onSignal: (listener: (count: number) => void) => void;
  /** Ends the process at once. */
  readonly leave: () => void;
}

/**
 * Makes the interrupt of one process; until somebody listens, the second Ctrl-C ends it.
 * @param exit ends the process
 * @param now milliseconds of a clock that only goes forward, to tell two Ctrl-C from one that is heard twice
 */
export function createInterrupt(
  exit: (code: number) => void,
  now: () => number = () => performance.now(),
): Interrupt {
  let count = 0;
  let heardAt = -Infinity;
  let listener = (times: number): void => {
    if (times > 1) leave();
  };
  let interrupt = (): void => undefined;
  const interrupted = new Promise<never>((_, reject) => (interrupt = () => reject(new ProblemError(PROBLEM))));
  // Most work asks with `check`: nobody may be waiting.
  interrupted.catch(() => undefined);

  function leave(): void {
    exit(INTERRUPTED);
  }
  function signal(): void {
    const at = now();
    const same = at - heardAt < SAME_SIGNAL_MS;
    heardAt = at;
    if (same) return;
    count += 1;
    interrupt();
    listener(count);
  }
  return {
    signal,
    request() {
      if (count === 0) signal();
    },
    requested: () => count > 0,
    check() {
      if (count > 0) fail(PROBLEM);
    },
    race: (work) => Promise.race([work, interrupted]),
    onSignal: (listens) => (listener = listens),
    leave,
  };
}
