// Both sides of what a page asks: the page's numbering and the editor's answers, joined as the editor joins them.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fail } from '../../../src/common/problem.js';
import { createPanelRequests } from '../../../src/host/panelRequests.js';
import type { PanelHandlers, PanelRequestsTaken } from '../../../src/host/panelRequests.js';
import type { PageMessage, ReplyToPage } from '../../../src/host/protocol.js';
import { createRequests, isCancelled, RequestRefused } from '../../../webview/requests.js';
import type { Requests } from '../../../webview/requests.js';

let replies: ReplyToPage[] = [];
let sent: PageMessage[] = [];
let page: Requests;
let host: PanelRequestsTaken;
/** Of the requests for runs: settles them, and whether they were taken back. */
let listing: { readonly give: (folder: string) => void; readonly signal: AbortSignal }[] = [];

const handlers: PanelHandlers = {
  listRuns: (_params, signal) =>
    new Promise((resolve) => {
      listing.push({ give: (folder) => resolve([{ folder, name: folder, modified: 0 }]), signal });
    }),
  runEvents: ({ folder }) => fail({ code: 'panel.unknown-run', message: `no run in ${folder}` }),
  maskOf: () => ({ rows: 1, columns: 2, indices: Uint32Array.of(1) }),
  compareMasks: () => ({}),
  saveFile: () => {
    throw new Error('the disk is full');
  },
  copyText: () => ({}),
};

beforeEach(() => {
  [replies, sent, listing] = [[], [], []];
  host = createPanelRequests(handlers, (message) => {
    replies.push(message);
    page.take(structuredClone(message));
  });
  page = createRequests((message) => {
    sent.push(message);
    if (message.type === 'request') host.take(structuredClone(message));
    if (message.type === 'cancelRequest') host.cancel(message.id);
  });
});

const names = async (asked: ReturnType<typeof page.ask<'listRuns'>>): Promise<string[]> =>
  (await asked).map(({ name }) => name);

test('each request gets its own reply, in whatever order they come', async () => {
  const one = names(page.ask('listRuns', {}));
  const other = names(page.ask('listRuns', {}));
  const mask = await page.ask('maskOf', { path: 'q', shape: [1, 2] });
  assert.deepEqual(mask.indices, Uint32Array.of(1));
  listing[1]?.give('/second');
  assert.deepEqual(await other, ['/second']);
  listing[0]?.give('/first');
  assert.deepEqual(await one, ['/first']);
  assert.deepEqual(
    replies.map(({ id }) => id),
    [3, 2, 1],
  );
});

test('what cannot be had is refused with its problem, whether thrown or a fault', async () => {
  await assert.rejects(page.ask('runEvents', { folder: '/gone' }), (error) => {
    assert.ok(error instanceof RequestRefused);
    assert.equal(error.problem.code, 'panel.unknown-run');
    assert.match(error.message, /\/gone/);
    return !isCancelled(error);
  });
  await assert.rejects(page.ask('saveFile', { name: 'a.csv', content: { text: '' } }), /the disk is full/);
  assert.equal(replies.length, 2);
});

test('a request of another version is refused, not left without an answer', async () => {
  const unknown: unknown = { type: 'request', id: 7, name: 'toString', params: {} };
  host.take(unknown as Parameters<typeof host.take>[0]);
  await turn();
  const [reply] = replies;
  assert.ok(reply?.type === 'refused');
  assert.equal(reply.id, 7);
  assert.equal(reply.problem.code, 'panel.unknown-request');
});

test('a request that is taken back is cancelled on both sides, and answered no more', async () => {
  const controller = new AbortController();
  const asked = page.ask('listRuns', {}, controller.signal);
  controller.abort();
  await assert.rejects(asked, isCancelled);
  assert.equal(listing[0]?.signal.aborted, true);
  listing[0]?.give('/late');
  await turn();
  assert.deepEqual(replies, []);
  assert.deepEqual(
    sent.map(({ type }) => type),
    ['request', 'cancelRequest'],
  );
  await assert.rejects(page.ask('listRuns', {}, controller.signal), isCancelled);
  assert.equal(sent.length, 2, 'what is taken back before it is sent is not sent');
});

test('when the panel closes, everything is cancelled and nothing is posted', async () => {
  void page.ask('listRuns', {});
  void page.ask('listRuns', {});
  host.cancelAll();
  listing.forEach(({ give }) => give('/late'));
  await turn();
  assert.deepEqual(
    listing.map(({ signal }) => signal.aborted),
    [true, true],
  );
  assert.deepEqual(replies, []);
});

test('a reply that nobody waits for is passed over', () => {
  page.take({ type: 'reply', id: 99, value: {} });
  page.take({ type: 'refused', id: 98, problem: { code: 'x', message: 'x' } });
});
