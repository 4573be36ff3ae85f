import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHistory, KEPT_ANSWERS, KEPT_LOG_LINES, KEPT_SITE_NUMBERS } from '../../../src/engines/history.js';
import type { RunEvent } from '../../../src/training/events.js';

const step = (number: number): RunEvent => ({
  type: 'step',
  step: number,
  epoch: 0,
  loss: 1,
  learningRate: 1,
  gradientNorm: 1,
  tokens: 1,
  supervisedTokens: 1,
  rows: 1,
  seconds: 1,
});

test('steps are all kept, of progress only the latest', () => {
  const history = createHistory();
  for (let number = 1; number <= 1000; number += 1) {
    history.add(step(number));
    history.add({ type: 'progress', activity: `a${number}`, done: 0, total: 0 });
  }
  const events = history.events();
  assert.deepEqual(
    events.filter(({ type }) => type === 'step').map((event) => event.type === 'step' && event.step),
    Array.from({ length: 1000 }, (_, index) => index + 1),
  );
  assert.equal(events.at(-1)?.type, 'progress');
  assert.equal(events.length, 1001);
});

test('ranks and masks are kept over time, thinned out evenly where there are many', () => {
  const history = createHistory();
  const sites = Array.from({ length: 200 }, (_, at) => ({ path: `layers.${at}.q`, rank: 4 }));
  const reports = (4 * KEPT_SITE_NUMBERS) / sites.length;
  for (let number = 0; number <= reports; number += 1) {
    history.add(step(number));
    history.add({ type: 'ranks', step: number, sites });
    if (number % 1000 === 0) history.add({ type: 'masks', step: number, sites: [] });
  }
  const steps = (wanted: 'ranks' | 'masks'): number[] =>
    history.events().flatMap((event) => (event.type === wanted ? [event.step] : []));
  assert.deepEqual(steps('masks'), [0, 1000, 2000, 3000, 4000]);
  const ranks = steps('ranks');
  assert.ok(ranks.length * sites.length <= KEPT_SITE_NUMBERS && ranks.length > 100, `${ranks.length}`);
  assert.deepEqual([ranks[0], ranks.at(-1)], [0, reports]);
  assert.deepEqual(
    ranks,
    [...ranks].sort((a, b) => a - b),
  );
});

test('old log lines make room for new ones, in order', () => {
  const history = createHistory();
  const more = 3 * KEPT_LOG_LINES;
  for (let number = 0; number < more; number += 1) {
    history.add({ type: 'log', level: 'info', message: String(number) });
  }
  const messages = history.events().map((event) => event.type === 'log' && event.message);
  assert.equal(messages.length, KEPT_LOG_LINES);
  assert.equal(messages[0], String(more - KEPT_LOG_LINES));
  assert.equal(messages.at(-1), String(more - 1));
});

test('answers of very many evaluations are thinned out, the first and the last stay', () => {
  const history = createHistory();
  const row = { line: 1, prompt: 'a', answer: 'b', reference: 'c', matches: false, cut: false };
  const last = 3 * KEPT_ANSWERS;
  for (let number = 0; number <= last; number += 1) {
    history.add({ type: 'generations', step: number, rows: [row, row] });
  }
  const steps = history.events().flatMap((event) => (event.type === 'generations' ? [event.step] : []));
  assert.ok(steps.length * 2 <= KEPT_ANSWERS && steps.length > 100, `${steps.length}`);
  assert.deepEqual([steps[0], steps.at(-1)], [0, last]);
});
