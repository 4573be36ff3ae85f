import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goalOf, isBetter, reaches, smallestDimension } from '../../../src/engines/intrinsicDimension.js';
import type { Found } from '../../../src/engines/intrinsicDimension.js';
import { problem } from '../../support/adapters.js';

/** Searches where everything from `from` up reaches the goal; also what was tried, in order. */
async function searched(
  grid: readonly number[],
  halvings: number,
  from: number,
): Promise<{ found: Found; tried: number[] }> {
  const tried: number[] = [];
  const found = await smallestDimension(grid, halvings, (dimension) => {
    tried.push(dimension);
    return Promise.resolve(dimension >= from);
  });
  return { found, tried };
}

test('the grid is gone through from below, then the interval is halved in the logarithm', async () => {
  assert.deepEqual(await searched([1000, 10, 100, 100], 3, 500), {
    found: { dimension: 562, below: 421 },
    tried: [10, 100, 1000, 316, 562, 421],
  });
  assert.deepEqual(await searched([10, 100], 0, 50), { found: { dimension: 100, below: 10 }, tried: [10, 100] });
});

test('a search ends where no number is left between, where the smallest reaches it, or none does', async () => {
  assert.deepEqual(await searched([4, 6], 9, 5), { found: { dimension: 5, below: 4 }, tried: [4, 6, 5] });
  assert.deepEqual(await searched([10, 100], 3, 1), { found: { dimension: 10, below: undefined }, tried: [10] });
  assert.deepEqual(await searched([10, 100], 3, 1e6), {
    found: { dimension: undefined, below: 100 },
    tried: [10, 100],
  });
});

test('an attempt that is undefined ends the grid', async () => {
  const attempt = (dimension: number) => Promise.resolve(dimension > 10 ? undefined : false);
  assert.deepEqual(await smallestDimension([10, 100, 1000], 3, attempt), { dimension: undefined, below: 10 });
});

test('90 % of an accuracy, and of the fall of a loss', () => {
  const accuracy = goalOf('eval_accuracy', 0.9, 0.8, 0.3);
  assert.ok(Math.abs(accuracy.target - 0.72) < 1e-12);
  assert.ok(reaches(accuracy, 0.73) && !reaches(accuracy, 0.71) && isBetter('eval_accuracy', 0.8, 0.7));
  const loss = goalOf('eval_loss', 0.9, 1, 3);
  assert.ok(Math.abs(loss.target - 1.2) < 1e-12);
  assert.ok(reaches(loss, 1.19) && !reaches(loss, 1.21) && isBetter('eval_loss', 0.7, 0.8));
});

test('a loss that full fine-tuning does not lower has no share to reach', () => {
  assert.throws(() => goalOf('eval_loss', 0.9, 3, 3), problem('intrinsic.nothing-learned', '3'));
  assert.throws(() => goalOf('eval_loss', 0.9, NaN, 3), problem('intrinsic.nothing-learned'));
  assert.throws(() => goalOf('eval_loss', 0.9, 1, undefined), problem('intrinsic.nothing-learned'));
});
