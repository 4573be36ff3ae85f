import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  behindToken,
  numbered,
  promptTokens,
  shifted,
  splitTokens,
  withPrefixes,
} from '../../../src/generation/tokens.js';

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

test('a prompt is cut from the answer behind it, which begins with a token of its own', () => {
  const tokens = promptTokens([
    [7, 8, 30],
    [5, 6, 9, 31],
  ]);
  const [prompts, answers] = splitTokens(tokens, 3);
  assert.deepEqual([prompts.sequence, answers.sequence], [3, 1]);
  assert.deepEqual([...prompts.ids], [0, 7, 8, 5, 6, 9]);
  assert.deepEqual([...prompts.segments], [0, 1, 1, 1, 1, 1]);
  const begun = numbered(behindToken(answers, 2), 4);
  assert.deepEqual([...begun.ids], [2, 30, 2, 31]);
  assert.deepEqual([...begun.positions], [4, 5, 4, 5]);
  assert.deepEqual([...begun.segments], [1, 1, 1, 1]);
  // Nothing of the answer is there yet.
  const [, none] = splitTokens(tokens, 4);
  assert.deepEqual([...behindToken(none, 2).ids], [2, 2]);
});
