import { fail } from '../common/problem.js';

/** Exit code after Ctrl-C. */
export const INTERRUPTED = 130;

/** Ctrl-C as something that work asks about, so that it ends at a place where nothing is half written. */
export interface Interrupt {
  /** To be called at each Ctrl-C. */
  readonly signal: () => void;
  readonly requested: () => boolean;
  /** @throws ProblemError `cli.interrupted` after Ctrl-C */
  readonly check: () => void;
  /** From now on, each Ctrl-C is told to the listener (the how-manieth it is), which decides what the second does. */
  readonly onSignal: (listener: (count: number) => void) => void;
}

/** @param exit ends the process; called at the second Ctrl-C where nobody listens */
export function createInterrupt(exit: (code: number) => void): Interrupt {
  let count = 0;
  let listener: ((count: number) => void) | undefined;
  return {
    signal() {
      count += 1;
      if (listener !== undefined) listener(count);
      else if (count > 1) exit(INTERRUPTED);
    },
    requested: () => count > 0,
    check() {
      if (count > 0) fail({ code: 'cli.interrupted', message: 'interrupted; nothing was left half written' });
    },
    onSignal: (listens) => (listener = listens),
  };
}
