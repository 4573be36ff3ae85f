import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../../src/engines/playground/protocol.js';
import {
  jsonOf,
  levelOf,
  levelText,
  markdownOf,
  promptFor,
  speedText,
  takeEvent,
  titleOf,
  tokenText,
  turnOf,
  turnsWith,
} from '../../../webview/playgroundModel.js';
import type { Turn } from '../../../webview/playgroundModel.js';

const COLUMNS = [
  { id: 'base', name: 'Base model' },
  { id: 'A', name: 'sql' },
];

function answer(text: string): Answer {
  return { text, rest: '', reason: 'eos', promptTokens: 4, tokens: 3, firstToken: 0.25, afterFirst: 0.5 };
}

function turn(request: number, change: Partial<Turn> = {}): Turn {
  return turnOf({ request, mode: 'chat', system: 'Be brief.', prompt: `Question ${request}`, ...change }, COLUMNS);
}

test('a column says what steers it', () => {
  assert.equal(titleOf({ name: 'sql' }), 'sql');
  assert.equal(titleOf({ name: 'sql', steering: { model: '/small', alpha: 0.5 } }), 'steered by sql (α = 0.5)');
});

test('events go to their answer; scores find their tokens; done ends what is open', () => {
  const own = turn(1);
  const [base, adapter] = own.answers;
  for (const [id, text] of [' a', ' b', ''].entries()) {
    takeEvent(own, { type: 'token', request: 1, column: 'A', token: { id, text, own: -1 } });
  }
  takeEvent(own, { type: 'scored', request: 1, column: 'A', from: 1, base: [-3] });
  assert.deepEqual(takeEvent(own, { type: 'scored', request: 2, column: 'A', from: 0, base: [-3] }), []);
  assert.deepEqual(
    adapter!.tokens.map((token) => token.base),
    [undefined, -3, undefined],
  );
  assert.deepEqual(takeEvent(own, { type: 'answered', request: 1, column: 'A', answer: answer(' a b') }), [
    adapter,
  ]);
  assert.deepEqual(takeEvent(own, { type: 'done', request: 1 }), [base]);
  assert.ok(base!.over && adapter!.over);
});

test('a column that was removed takes its answers along: its id may be given to another', () => {
  const turns = [turn(1), turn(2)];
  assert.deepEqual(turnsWith(turns, COLUMNS), turns);
  const left = turnsWith(turns, [COLUMNS[0]!]);
  assert.deepEqual(
    left.map(({ prompt, answers }) => [prompt, answers.map(({ column }) => column)]),
    [
      ['Question 1', ['base']],
      ['Question 2', ['base']],
    ],
  );
  assert.equal(left[0]!.answers[0], turns[0]!.answers[0], 'what is shown of an answer stays');
});

test('a conversation holds what the column itself answered', () => {
  const first = turn(1);
  takeEvent(first, { type: 'answered', request: 1, column: 'A', answer: answer('Yes.') });
  const next = { mode: 'chat', system: 'Be brief.', prompt: 'And now?' } as const;
  assert.deepEqual(promptFor('A', next, [first]), [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Question 1' },
    { role: 'assistant', content: 'Yes.' },
    { role: 'user', content: 'And now?' },
  ]);
  assert.deepEqual(promptFor('base', { ...next, system: ' ' }, [first]), [{ role: 'user', content: 'And now?' }]);
  assert.equal(promptFor('A', { ...next, mode: 'prompt' }, [first]), 'And now?');
});

test('colours grow with the difference, to both sides', () => {
  assert.deepEqual([0, 0.05, 0.1, -0.6, 1.5, -7, 30].map(levelOf), [0, 0, 1, -2, 3, -4, 4]);
  assert.equal(levelText(4), 'at least 7× more likely');
  assert.equal(levelText(-1), 'at least 1.1× less likely');
  const token = { id: 1, text: ' be', own: Math.log(0.5), base: Math.log(0.05) };
  assert.equal(
    tokenText(token, 0),
    'Token 1, " be": probability 0.500, 0.050 under the base model: log difference +2.30 (10.0× more likely)',
  );
  assert.equal(
    tokenText({ id: 0, text: '', own: 0, end: true }, 2),
    'Token 3, end of the text: probability 1.000',
  );
});

test('speed counts the tokens after the first', () => {
  assert.equal(speedText(answer('x')), '3 tokens, ended by itself · first after 250 ms · 4.0 tokens/s');
  assert.equal(
    speedText({ ...answer('x'), tokens: 1, reason: 'stopped' }),
    '1 token, stopped · first after 250 ms',
  );
});

test('copies: fences outlast those in a text, JSON has every number', () => {
  const own = turn(1);
  takeEvent(own, { type: 'token', request: 1, column: 'A', token: { id: 7, text: '````', own: -1 } });
  takeEvent(own, { type: 'scored', request: 1, column: 'A', from: 0, base: [-2] });
  takeEvent(own, { type: 'answered', request: 1, column: 'A', answer: answer('````') });
  takeEvent(own, { type: 'refused', request: 1, column: 'base', problem: { code: 'x', message: 'no room' } });
  const markdown = markdownOf('tiny', [own]);
  assert.ok(markdown.includes('`````text\n````\n`````'), markdown);
  assert.ok(markdown.includes('Failed: no room'), markdown);
  const copied = JSON.parse(jsonOf('tiny', { seed: 1 }, [own])) as { turns: { answers: { tokens: unknown }[] }[] };
  assert.deepEqual(copied.turns[0]!.answers[1]!.tokens, [
    { id: 7, text: '````', log_probability: -1, base_log_probability: -2 },
  ]);
});
