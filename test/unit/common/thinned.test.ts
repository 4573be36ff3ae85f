import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createThinned } from '../../../src/common/thinned.js';

test('within the limit everything is kept; above it what is kept is spread evenly, with the first and the last', () => {
  const thinned = createThinned<number>(100);
  for (let item = 0; item < 10; item++) assert.deepEqual(thinned.add(item, item, 10), []);
  assert.deepEqual(thinned.items(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(thinned.add(10, 10, 10), [1, 3, 5, 7, 9]);
  assert.deepEqual(thinned.items(), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(thinned.add(11, 11, 10), []);
  assert.deepEqual(thinned.add(12, 12, 10), [11]);
  for (let item = 13; item < 1000; item++) thinned.add(item, item, 10);
  const items = thinned.items();
  assert.ok(items.length >= 5 && items.length <= 10, `${items}`);
  assert.deepEqual([items[0], items.at(-1)], [0, 999]);
  const gaps = items.slice(1, -1).map((item, at) => item - items[at]!);
  assert.equal(new Set(gaps).size, 1);
});

test('what belongs together is kept together, and one group stays however large', () => {
  const thinned = createThinned<string>(4);
  for (let group = 0; group < 5; group++) {
    thinned.add(`a${group}`, group, 1);
    thinned.add(`b${group}`, group, 1);
  }
  assert.deepEqual(thinned.items(), ['a0', 'b0', 'a4', 'b4']);
  const large = createThinned<string>(4);
  large.add('a', 0, 100);
  large.add('b', 1, 100);
  assert.deepEqual(large.items(), ['a', 'b']);
});

test('what is over is dropped from the end, and makes room', () => {
  const thinned = createThinned<number>(3);
  for (let item = 0; item < 3; item++) thinned.add(item, item, 1);
  thinned.dropLast((item) => item > 0);
  assert.deepEqual(thinned.items(), [0]);
  thinned.add(7, 7, 1);
  assert.deepEqual(thinned.add(8, 8, 1), []);
  assert.deepEqual(thinned.items(), [0, 7, 8]);
});
