import type { RunEvent } from '../training/events.js';

/** Log lines kept for a panel that opens later; the output channel and `events.jsonl` have all of them. */
export const KEPT_LOG_LINES = 500;

/** Kinds of which only the latest says something: keeping each would grow with steps times layers. */
const LATEST_ONLY: ReadonlySet<RunEvent['type']> = new Set(['progress', 'ranks', 'masks']);

/** The events of one run, kept so that a panel opened late can draw the whole run. */
export interface History {
  add(event: RunEvent): void;
  /** What was kept, in the order in which it came. */
  events(): readonly RunEvent[];
}

/** Makes the empty history of a run that begins. */
export function createHistory(): History {
  let kept: (RunEvent | undefined)[] = [];
  const latest = new Map<RunEvent['type'], number>();
  const logLines: number[] = [];
  let dropped = 0;

  function drop(index: number | undefined): void {
    if (index === undefined) return;
    kept[index] = undefined;
    dropped += 1;
  }

  /** Closes the gaps once they are more than half, so that adding stays constant time on average. */
  function compact(): void {
    const moved = new Map<number, number>();
    const closed: RunEvent[] = [];
    kept.forEach((event, index) => {
      if (event === undefined) return;
      moved.set(index, closed.length);
      closed.push(event);
    });
    for (const [type, index] of latest) latest.set(type, moved.get(index) ?? index);
    logLines.forEach((index, at) => (logLines[at] = moved.get(index) ?? index));
    kept = closed;
    dropped = 0;
  }

  return {
    add(event) {
      if (LATEST_ONLY.has(event.type)) {
        drop(latest.get(event.type));
        latest.set(event.type, kept.length);
      } else if (event.type === 'log') {
        logLines.push(kept.length);
        if (logLines.length > KEPT_LOG_LINES) drop(logLines.shift());
      }
      kept.push(event);
      if (dropped > 64 && dropped * 2 > kept.length) compact();
    },
    events: () => kept.filter((event) => event !== undefined),
  };
}
