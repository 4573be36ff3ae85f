import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { idle } from '../../../src/engines/runState.js';
import { createPageFeed, FEED_PERIOD_MS } from '../../../src/host/pageFeed.js';
import type { PageFeed } from '../../../src/host/pageFeed.js';
import type { RunToPage } from '../../../src/host/protocol.js';
import type { RunEvent } from '../../../src/training/events.js';

mock.timers.enable({ apis: ['setTimeout'] });

let events: RunEvent[] = [];
let posted: RunToPage[] = [];
let feed: PageFeed;
beforeEach(() => {
  events = [];
  posted = [];
  feed = createPageFeed(
    { about: () => ({ state: idle, canControl: false }), events: () => [...events] },
    (message) => posted.push(message),
  );
});

function say(message: string): void {
  const event: RunEvent = { type: 'log', level: 'info', message };
  events.push(event);
  feed.add(event);
}

/** Each post as its type and the messages of its events. */
function seen(): string[] {
  return posted.map(
    (message) =>
      `${message.type}: ${message.events.events.map((event) => event.type === 'log' && event.message).join(' ')}`,
  );
}

test('nothing is posted before the page is ready; then it gets everything', () => {
  say('a');
  say('b');
  mock.timers.tick(10 * FEED_PERIOD_MS);
  assert.deepEqual(seen(), []);
  assert.equal(feed.drawnEvents(), undefined);
  feed.ready();
  assert.deepEqual(seen(), ['run: a b']);
});

test('what comes meanwhile gathers into one batch, which waits until the last is drawn', () => {
  feed.ready();
  say('a');
  say('b');
  mock.timers.tick(10 * FEED_PERIOD_MS);
  assert.deepEqual(seen(), ['run: ']);
  feed.drawn(0);
  mock.timers.tick(FEED_PERIOD_MS);
  assert.deepEqual(seen(), ['run: ', 'more: a b']);
  feed.drawn(2);
  mock.timers.tick(10 * FEED_PERIOD_MS);
  assert.equal(posted.length, 2);
  assert.equal(feed.drawnEvents(), 2);
});

test('a new run while the page draws replaces what waited, and nothing comes twice', () => {
  feed.ready();
  say('old');
  events = [];
  feed.restart();
  say('new');
  feed.drawn(0);
  mock.timers.tick(FEED_PERIOD_MS);
  assert.deepEqual(seen(), ['run: ', 'run: new']);
  say('newer');
  feed.drawn(1);
  mock.timers.tick(FEED_PERIOD_MS);
  assert.deepEqual(seen(), ['run: ', 'run: new', 'more: newer']);
});

test('a page that was away gets the whole run once more', () => {
  feed.ready();
  feed.drawn(0);
  say('a');
  feed.away();
  say('b');
  mock.timers.tick(10 * FEED_PERIOD_MS);
  assert.equal(posted.length, 1);
  feed.ready();
  assert.deepEqual(seen(), ['run: ', 'run: a b']);
});
