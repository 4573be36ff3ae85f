import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LARGEST_SEARCHED, fits, largestThatFits, withQuantity } from '../../../src/memory/largest.js';
import { planMemory } from '../../../src/memory/planMemory.js';
import { memoryRun, problemCode, shapeOf } from './support.js';

const GB = 1e9;
const shape = shapeOf('llama32');

test('the largest fits, one more does not', () => {
  for (const quantity of ['batch', 'length', 'rank'] as const) {
    for (const limit of [9 * GB, 12 * GB, 24 * GB]) {
      const run = memoryRun({ batch: 1, length: 64 });
      const found = largestThatFits(shape, run, limit, quantity)!;
      assert.ok(found >= 1 && found <= LARGEST_SEARCHED[quantity]);
      assert.ok(fits(shape, withQuantity(run, quantity, found), limit));
      if (found < LARGEST_SEARCHED[quantity]) {
        assert.ok(!fits(shape, withQuantity(run, quantity, found + 1), limit));
      }
    }
  }
});

test('0 where nothing fits, the end of the search where everything does', () => {
  assert.equal(largestThatFits(shape, memoryRun(), 6 * GB, 'batch'), 0);
  assert.equal(largestThatFits(shape, memoryRun(), 1e20, 'batch', 100), 100);
  assert.equal(largestThatFits(shape, memoryRun(), 1e20, 'length', 1), 1);
  assert.equal(largestThatFits(shape, memoryRun(), 1e20, 'rank'), LARGEST_SEARCHED.rank);
});

test('the limit itself fits', () => {
  const run = memoryRun({ batch: 5 });
  assert.equal(largestThatFits(shape, run, planMemory(shape, run).total, 'batch'), 5);
});

test('a run without pairs has no rank', () => {
  assert.equal(largestThatFits(shape, memoryRun({ methods: [{ kind: 'full' }] }), GB, 'rank'), undefined);
  assert.equal(
    problemCode(() => largestThatFits(shape, memoryRun(), GB, 'batch', 0)),
    'memory.number',
  );
});
