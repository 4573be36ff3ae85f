import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sentences } from '../../../src/common/sentences.js';

test('each part of a problem is one sentence, ended once', () => {
  assert.equal(
    sentences({ code: 'a.b', message: 'the key is odd', expected: 'one of a, b', mend: 'Did you mean a?' }),
    'the key is odd. Expected: one of a, b. Did you mean a?',
  );
  assert.equal(sentences({ code: 'a.b', message: 'it ended.', mend: 'Train again.' }), 'it ended. Train again.');
  assert.equal(sentences({ code: 'a.b', message: 'it ended' }), 'it ended.');
});
