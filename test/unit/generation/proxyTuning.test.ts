import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxiedLogits } from '../../../src/generation/proxyTuning.js';

const rows = (vocabSize: number, ...numbers: number[]): { logits: Float32Array; vocabSize: number } => ({
  logits: Float32Array.from(numbers),
  vocabSize,
});

test('what tuning changed in the small model is added to the base, row by row', () => {
  const proxied = proxiedLogits(rows(2, 1, 2, 3, 4), rows(2, 5, 5, 5, 5), rows(2, 4, 3, 2, 1), 0.5);
  assert.deepEqual([...proxied], [1.5, 3, 4.5, 6]);
});

test('a token that only one side has: the base keeps its logit, what only small models have is left out', () => {
  assert.deepEqual([...proxiedLogits(rows(3, 1, 1, 1), rows(2, 2, 3), rows(2, 1, 1), 1)], [2, 3, 1]);
  assert.deepEqual([...proxiedLogits(rows(1, 1, 2), rows(2, 2, 9, 3, 9), rows(2, 1, 9, 1, 9), 1)], [2, 4]);
});

test('the base is left as it was', () => {
  const base = rows(1, 1);
  proxiedLogits(base, rows(1, 7), rows(1, 3), 1);
  assert.deepEqual([...base.logits], [1]);
});
