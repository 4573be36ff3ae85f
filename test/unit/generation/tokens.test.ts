import assert from 'node:assert/strict';
import { test } from 'node:test';
import { promptTokens, shifted, withPrefixes } from '../../../src/generation/tokens.js';

test('a prefix stands behind the padding of each row, and the text behind it', () => {
  const prefixed = withPrefixes(promptTokens([[7], [5, 6]]), [
    [90, 91],
    [92, 93],
  ]);
  assert.equal(prefixed.sequence, 4);
  assert.deepEqual([...prefixed.ids], [0, 90, 91, 7, 92, 93, 5, 6]);
  assert.deepEqual([...prefixed.segments], [0, 1, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual([...prefixed.positions], [0, 0, 1, 2, 0, 1, 2, 3]);
});

test('without a prefix tokens stay what they are', () => {
  const tokens = promptTokens([[7], [5, 6]]);
  assert.equal(withPrefixes(tokens, [[]]), tokens);
  assert.equal(shifted(tokens, 0), tokens);
  assert.deepEqual([...shifted(tokens, 2).positions], [2, 2, 2, 3]);
});
