import * as l10n from '@vscode/l10n';
import { createContext, Script } from 'node:vm';

/** Thrown by {@link withinTime} when the time is up. */
export class TimeUp extends Error {
  constructor(readonly milliseconds: number) {
    super(l10n.t`it did not end within ${milliseconds / 1000} s`);
    this.name = 'TimeUp';
  }
}

/**
 * What `work` returns, unless it takes longer: then it is stopped wherever it is and {@link TimeUp} is thrown. For
 * synchronous code whose effort a file decides (regular expressions, templates). Costs some 50 µs, and work
 * within work has its own limit only.
 */
export function withinTime<T>(milliseconds: number, work: () => T): T {
  let done: { value: T } | undefined;
  const outer = watched.work;
  watched.work = () => {
    done = { value: work() };
  };
  try {
    WATCHDOG.runInContext(watched, { timeout: milliseconds });
  } catch (error) {
    // `error` comes from `work` as it is; that of the clock is told by its code.
    if (isCoded(error) && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new TimeUp(milliseconds);
    throw error;
  } finally {
    watched.work = outer;
  }
  return done!.value;
}

/** `node:vm`'s watchdog is the one thing in Node that stops synchronous code; `work` itself stays on this side. */
const WATCHDOG = new Script('work()');
const watched: { work?: () => void } = createContext({});

function isCoded(error: unknown): error is { code: unknown } {
  return typeof error === 'object' && error !== null && 'code' in error;
}
