import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANSWER_CHARACTERS, bounded, questionOf } from '../../../src/engines/validationAnswers.js';

const row = (supervised: (0 | 1)[]): Parameters<typeof questionOf>[0] => ({
  ids: supervised.map((_, at) => 10 + at),
  supervised,
  file: 'rows.jsonl',
  line: 7,
});

test('a row is cut where its answer begins', () => {
  assert.deepEqual(questionOf(row([0, 0, 1, 1])), { line: 7, prompt: [10, 11], reference: [12, 13], task: 0 });
});

test('of a conversation only the first turn is asked', () => {
  assert.deepEqual(questionOf(row([0, 1, 1, 0, 0, 1])), { line: 7, prompt: [10], reference: [11, 12], task: 0 });
});

test('long texts lose their middle, and say how much', () => {
  const text = `${'a'.repeat(ANSWER_CHARACTERS)}${'b'.repeat(5)}`;
  const short = bounded(text);
  assert.ok(short.startsWith('aaa') && short.endsWith('abbbbb'));
  assert.match(short, / … \(5 characters\) … /);
  assert.ok(short.length < ANSWER_CHARACTERS + 40);
  assert.equal(bounded('a'.repeat(ANSWER_CHARACTERS)).length, ANSWER_CHARACTERS);
});
