import { messageOf } from '../common/problem.js';
import { FAILED } from './exitCode.js';
import { INTERRUPTED } from './interrupt.js';

/** What a process does whose standard output cannot be written. */
export type LostOutput =
  /** Goes on to its end: nobody reads it any more, but work that can be saved is saved. */
  | { readonly kind: 'stop' }
  /** Ends at once; a worker notices that and saves its adapter. */
  | { readonly kind: 'leave'; readonly code: number; readonly say?: string };

/** Results that did not arrive are a failure, unless the reader wanted no more of them (`| head`). */
export function lostOutput(error: NodeJS.ErrnoException): LostOutput {
  switch (error.code) {
    // The terminal is gone; SIGHUP says the same.
    case 'EIO':
      return { kind: 'stop' };
    case 'EPIPE':
      return { kind: 'leave', code: INTERRUPTED };
    default:
      return {
        kind: 'leave',
        code: FAILED,
        say: `error standard output cannot be written: ${messageOf(error)} [cli.output]`,
      };
  }
}
