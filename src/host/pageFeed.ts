import { packEvents } from '../engines/packEvents.js';
import type { RunEvent } from '../training/events.js';
import type { RunAbout, RunToPage } from './protocol.js';

/** The page is sent what gathered, at most so often. */
export const FEED_PERIOD_MS = 100;

/** What a page is fed from. */
export interface FeedSource {
  about(): RunAbout;
  events(): readonly RunEvent[];
}

/**
 * The sending side of one page. Nothing is posted before the page said that it is ready; what comes meanwhile
 * gathers, and the next batch waits until the last one is drawn, so that a slow page is never flooded.
 */
export interface PageFeed {
  /** The page has loaded, for the first time or again: it gets the run from its beginning. */
  ready(): void;
  /** The page is gone or hidden. */
  away(): void;
  /** A new run began. */
  restart(): void;
  /** The run's state changed or, with an event, went on. */
  add(event: RunEvent | undefined): void;
  /** The page has drawn all it was sent: so many events. */
  drawn(events: number): void;
  /** What the page last said that it drew; `undefined` while there is none. */
  drawnEvents(): number | undefined;
}

/** Makes the feed of a page that is yet to load; `post` sends to it. */
export function createPageFeed(source: FeedSource, post: (message: RunToPage) => void): PageFeed {
  let isReady = false;
  let drawing = false;
  let whole = true;
  let changed = false;
  let waiting: RunEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  let drawnEvents = 0;

  function flush(): void {
    timer = undefined;
    if (!isReady || drawing || !(whole || changed)) return;
    const events = packEvents(whole ? source.events() : waiting);
    post({ type: whole ? 'run' : 'more', about: source.about(), events });
    drawing = true;
    whole = false;
    changed = false;
    waiting = [];
  }

  function later(): void {
    if (isReady && !drawing) timer ??= setTimeout(flush, FEED_PERIOD_MS);
  }

  return {
    ready() {
      isReady = true;
      drawing = false;
      whole = true;
      drawnEvents = 0;
      flush();
    },
    away() {
      clearTimeout(timer);
      timer = undefined;
      isReady = false;
      waiting = [];
    },
    restart() {
      whole = true;
      waiting = [];
      drawnEvents = 0;
      later();
    },
    add(event) {
      changed = true;
      // A page that is not there, or is about to get everything, needs no queue.
      if (event && isReady && !whole) waiting.push(event);
      later();
    },
    drawn(events) {
      drawing = false;
      drawnEvents = events;
      if (whole || changed) later();
    },
    drawnEvents: () => (isReady ? drawnEvents : undefined),
  };
}
