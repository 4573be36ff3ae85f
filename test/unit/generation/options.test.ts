import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateSettings } from '../../../src/generation/options.js';

test('defaults are greedy, 128 tokens, no end', () => {
  assert.deepEqual(generateSettings({}), {
    temperature: 0,
    top_k: 0,
    top_p: 1,
    repetition_penalty: 1,
    max_new_tokens: 128,
    eos_token_id: [],
    seed: 0,
    tasks: [],
  });
  assert.equal(generateSettings({ top_p: undefined }).top_p, 1);
});

test('an option out of its range is named with what is allowed', () => {
  const wrong = {
    temperature: [-0.1, NaN, Infinity],
    top_k: [-1, 1.5],
    top_p: [-0.1, 1.1, NaN],
    repetition_penalty: [0, -1, Infinity],
    max_new_tokens: [0, -1, 2.5],
    seed: [0.5],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      assert.throws(() => generateSettings({ [name]: value }), {
        name: 'ProblemError',
        message: new RegExp(`^${name} is ${value}\nExpected: a `),
      });
    }
  }
  assert.equal(generateSettings({ top_p: 0 }).top_p, 0);
});
