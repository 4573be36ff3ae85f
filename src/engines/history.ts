import { createThinned } from '../common/thinned.js';
import type { Thinned } from '../common/thinned.js';
import type { RunEvent } from '../training/events.js';

/** Log lines kept for a panel that opens later; the output channel and `events.jsonl` have all of them. */
export const KEPT_LOG_LINES = 500;

/**
 * Numbers of ranks and of masks kept, of all sites and reports: about 20 MB. A run that reports more, every step of
 * every matrix, is kept at every second report, then at every fourth, …
 */
export const KEPT_SITE_NUMBERS = 200_000;

/** Answers to validation rows kept, of all evaluations: at most 12 MB, usually a tenth of it. Thinned out likewise. */
export const KEPT_ANSWERS = 2000;

/** An event that is kept: its place moves when gaps close. */
interface Place {
  index: number;
}

/** The events of one run, kept so that a panel opened late can draw the whole run. */
export interface History {
  add(event: RunEvent): void;
  /** What was kept, in the order in which it came. */
  events(): readonly RunEvent[];
}

type Report = Extract<RunEvent, { type: 'ranks' | 'masks' | 'attention' | 'generations' }>;

function isReport(event: RunEvent): event is Report {
  return ['ranks', 'masks', 'attention', 'generations'].includes(event.type);
}

/** Makes the empty history of a run that begins. */
export function createHistory(): History {
  let kept: (RunEvent | undefined)[] = [];
  let progress: number | undefined;
  const reports: Readonly<Record<'ranks' | 'masks' | 'attention' | 'generations', Thinned<Place>>> = {
    ranks: createThinned(KEPT_SITE_NUMBERS),
    masks: createThinned(KEPT_SITE_NUMBERS),
    attention: createThinned(KEPT_SITE_NUMBERS),
    generations: createThinned(KEPT_ANSWERS),
  };
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
    if (progress !== undefined) progress = moved.get(progress);
    for (const place of Object.values(reports).flatMap((each) => each.items())) {
      place.index = moved.get(place.index) ?? place.index;
    }
    logLines.forEach((index, at) => (logLines[at] = moved.get(index) ?? index));
    kept = closed;
    dropped = 0;
  }

  return {
    add(event) {
      if (event.type === 'progress') {
        drop(progress);
        progress = kept.length;
      } else if (isReport(event)) {
        const size = event.type === 'generations' ? event.rows.length : event.sites.length;
        const gone = reports[event.type].add({ index: kept.length }, event.step, size);
        for (const { index } of gone) drop(index);
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
