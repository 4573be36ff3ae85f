import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestIndex, niceTicks, rangeOf, thin } from '../../../webview/chartMath.js';

test('thinning 100,000 points keeps the spikes, the order and the ends', () => {
  const x = Array.from({ length: 100_000 }, (_, index) => index);
  const y = x.map((index) => Math.sin(index / 1000));
  y[54_321] = 50;
  y[77_777] = -50;
  const points = thin({ x, y }, 800);
  assert.ok(points.x.length <= 1600 && points.x.length >= 800);
  assert.ok(points.y.includes(50) && points.y.includes(-50));
  assert.equal(points.x[points.y.indexOf(50)], 54_321);
  assert.ok(points.x.every((value, index) => index === 0 || value > (points.x[index - 1] ?? 0)));
});

test('few points come back as they are, without gaps', () => {
  assert.deepEqual(thin({ x: [1, 2, 3], y: [4, NaN, 6] }, 100), { x: [1, 3], y: [4, 6] });
  assert.deepEqual(thin({ x: [], y: [] }, 100), { x: [], y: [] });
});

test('ticks are round and cover the range', () => {
  assert.deepEqual(niceTicks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(niceTicks(0, 3 * 1024 ** 2, 3, 1024 ** 2), [0, 1024 ** 2, 2 * 1024 ** 2, 3 * 1024 ** 2]);
  const ticks = niceTicks(1.234, 5.678, 5);
  assert.ok((ticks[0] ?? 9) <= 1.234 && (ticks.at(-1) ?? 0) >= 5.678);
});

test('ranges leave out what is not finite and widen a single value', () => {
  assert.deepEqual(rangeOf([[1, NaN, 5], [Infinity]]), [1, 5]);
  assert.deepEqual(rangeOf([[10]]), [9, 11]);
  assert.equal(rangeOf([[NaN], []]), undefined);
});

test('the nearest point', () => {
  assert.equal(nearestIndex([1, 5, 10], 6), 1);
  assert.equal(nearestIndex([1, 5, 10], 8), 2);
  assert.equal(nearestIndex([1, 5, 10], 99), 2);
  assert.equal(nearestIndex([], 1), -1);
});
