import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  axisName,
  compactCount,
  linearTicks,
  logTicks,
  numberTick,
  padded,
  xTicks,
  yTicks,
} from '../../../webview/curveTicks.js';

const plain = { log: false, percent: false };

test('linear ticks are round, within the span, and not between steps', () => {
  assert.deepEqual(linearTicks([0, 10], 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(linearTicks([0.3, 9.7], 5), [2, 4, 6, 8]);
  assert.deepEqual(xTicks('step', [1, 3.2], 10), { at: [1, 2, 3], text: ['1', '2', '3'] });
  assert.deepEqual(xTicks('step', [0, 100_000], 4).text, ['0', '50,000', '100,000']);
  assert.deepEqual(linearTicks([5, 5], 5), []);
});

test('ticks of small rates are short and exact', () => {
  assert.deepEqual(yTicks([0, 2e-4], 4, plain).text, ['0', '5e-5', '1e-4', '1.5e-4', '2e-4']);
  assert.deepEqual(yTicks([-0.5, 0.5], 4, plain).text, ['-0.5', '0', '0.5']);
  assert.deepEqual(yTicks([2.31, 2.34], 3, plain).text, ['2.31', '2.32', '2.33', '2.34']);
  assert.deepEqual(yTicks([0, 1], 4, { log: false, percent: true }).text, ['0 %', '50 %', '100 %']);
  assert.equal(numberTick(12_000, 2000), '12k');
});

test('logarithmic ticks are powers of ten, finer where there is room', () => {
  const rounded = (ticks: readonly number[]): number[] => ticks.map((tick) => Number(tick.toPrecision(6)));
  assert.deepEqual(rounded(logTicks([1e-5, 10], 7)), [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10]);
  assert.deepEqual(rounded(logTicks([0.15, 12], 7)), [0.2, 0.5, 1, 2, 5, 10]);
  // Fewer than there are decades.
  assert.ok(logTicks([1e-12, 1], 4).length <= 5);
  // Within a decade they are linear: otherwise there might be none.
  assert.deepEqual(rounded(logTicks([2.1, 2.4], 3)), [2.1, 2.2, 2.3, 2.4]);
  assert.deepEqual(logTicks([0, 1], 3), []);
});

test('time has ticks that people count in', () => {
  assert.deepEqual(xTicks('time', [0, 300], 5).text, ['0:00', '1:00', '2:00', '3:00', '4:00', '5:00']);
  assert.equal(axisName('time', [0, 300]), 'training time (min:s)');
  assert.deepEqual(xTicks('time', [0, 3 * 3600], 4).text, ['0:00', '1:00', '2:00', '3:00']);
  assert.equal(axisName('time', [0, 3 * 3600]), 'training time (h:min)');
  assert.deepEqual(xTicks('time', [0, 1], 2).text, ['0', '0.5', '1']);
  assert.equal(axisName('time', [0, 1]), 'training time (s)');
});

test('counts are short', () => {
  assert.deepEqual([500, 1500, 2e6, 3.25e9].map(compactCount), ['500', '1.5k', '2M', '3.25B']);
});

test('spans get room', () => {
  const [low, high] = padded([1, 1], { log: false, fromZero: false });
  assert.ok(low < 1 && high > 1);
  assert.equal(padded([2, 4], { log: false, fromZero: true })[0], 0);
  const [bottom, top] = padded([1e-3, 1], { log: true, fromZero: true });
  assert.ok(bottom > 0 && bottom < 1e-3 && top > 1);
});
