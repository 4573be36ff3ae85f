import type { HubOptions } from '../models/hub/context.js';
import type { Io } from './io.js';

/** How a command gets at the hub: with the progress line, until Ctrl-C, and with its warnings printed. */
export function hubOf(io: Io): HubOptions {
  return {
    progress: (progress) => {
      io.progress.update(progress);
      if (progress.done === progress.total) io.progress.end();
    },
    stopRequested() {
      io.interrupt.check();
      return false;
    },
    warn: io.problem,
  };
}
