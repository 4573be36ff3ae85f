import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedPlaces, movedOn } from '../../../src/methods/sparseMoves.js';
import type { Site } from '../../../src/models/site.js';

const site: Site = {
  path: 'w',
  kind: 'linear',
  weight: 'w.weight',
  bias: undefined,
  shape: [4, 4],
  layer: 0,
  isOutput: false,
};
const [INDICES, VALUES] = ['w.weight.indices', 'w.weight.values'];
const [LEFT_INDICES, LEFT_VALUES] = ['w.weight.left_indices', 'w.weight.left_values'];

test('what stays, comes back, is new, leaves and rests on', () => {
  const before = new Map([
    [INDICES, Int32Array.of(1, 4, 6, 9)],
    [LEFT_INDICES, Int32Array.of(0, 5, 12)],
  ]);
  const next = new Map([[INDICES, Int32Array.of(2, 4, 5, 9, 15)]]);
  const values = new Map([
    [`1:${VALUES}`, Float32Array.of(10, 40, 0, 90)],
    [`1:${LEFT_VALUES}`, Float32Array.of(1, 50, 120)],
  ]);
  const slots = new Map([
    [`1:${VALUES}/exp_avg`, Float32Array.of(-1, -4, -6, -9)],
    [`0:${VALUES}/exp_avg`, Float32Array.of(7)],
  ]);
  const moved = movedOn([site], before, next, { values, slots, instance: '1:' });
  const resting = Float32Array.of(1, 10, 120);
  assert.deepEqual(
    moved.values,
    new Map([
      [`1:${VALUES}`, Float32Array.of(0, 40, 50, 90, 0)],
      [`1:${LEFT_VALUES}`, resting],
    ]),
  );
  assert.deepEqual(moved.slots, new Map([[`1:${VALUES}/exp_avg`, Float32Array.of(0, -4, 0, -9, 0)]]));
  // What left with a difference of zero is forgotten.
  const left = { [LEFT_INDICES]: Int32Array.of(0, 1, 12), [LEFT_VALUES]: resting };
  assert.deepEqual(Object.fromEntries(moved.prepared), { ...Object.fromEntries(next), ...left });
  assert.deepEqual(changedPlaces(before, next), { entered: 3, left: 2 });
});

test('more places than a map can hold', () => {
  const places = new Int32Array(2 ** 24 + 2);
  for (let at = 0; at < places.length; at++) places[at] = at;
  const [before, next] = [new Map([[INDICES, places]]), new Map([[INDICES, places.subarray(1)]])];
  assert.deepEqual(changedPlaces(before, next), { entered: 0, left: 1 });
  const values = new Map([[VALUES, new Float32Array(places.length).fill(1)]]);
  const moved = movedOn([site], before, next, { values, slots: new Map(), instance: '' });
  assert.deepEqual(moved.values.get(LEFT_VALUES), Float32Array.of(1));
  assert.ok(moved.values.get(VALUES)!.every((value) => value === 1));
});
