import type { RunEvent } from '../training/events.js';
import type { WorkerRequest } from './workerProtocol.js';

/** How a worker and those who follow it talk. */
export interface Channel {
  /** Tells an event to whoever listens. */
  send(event: RunEvent): void;
  /** Ends the talk when all was told; settles then. */
  close(code: number): Promise<void>;
}

/** What the worker does with what it is told. */
export interface Listener {
  request(request: WorkerRequest): void;
  /** Nobody listens any more, and nobody can come: finish the step, write what was learned, end. */
  abandoned(): void;
}

/** The channel to the process that forked this one. */
export function parentChannel({ request, abandoned }: Listener): Channel {
  let unsent = 0;
  let afterLast: (() => void) | undefined;
  process.on('message', (message: WorkerRequest) => request(message));
  process.on('disconnect', abandoned);
  return {
    send(event) {
      // The parent may be gone though the channel looks open: a step holds the thread, so nobody was told yet.
      if (!process.connected) return;
      unsent++;
      process.send!(event, undefined, undefined, (error) => {
        if (error !== null) abandoned();
        unsent--;
        if (unsent === 0) afterLast?.();
      });
    },
    close() {
      return new Promise((resolve) => {
        // Disconnecting before the last message has left would drop those still queued.
        afterLast = () => {
          if (process.connected) process.disconnect();
          resolve();
        };
        if (unsent === 0) afterLast();
      });
    },
  };
}
