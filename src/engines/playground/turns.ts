/** Lets pieces of work take turns on one machine: one at a time, in the order in which they ask. */
export interface Turns {
  /** Runs `work` when it is its turn; `clock` counts the wait. */
  take<T>(clock: Clock, work: () => Promise<T>): Promise<T>;
}

/** Tells how long somebody worked, waits for turns left out. */
export interface Clock {
  /** Milliseconds waited for turns so far. */
  waited: number;
}

/** Nobody's turn yet. */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return {
    take(clock, work) {
      const asked = performance.now();
      const turn = last.then(() => {
        clock.waited += performance.now() - asked;
        return work();
      });
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}
