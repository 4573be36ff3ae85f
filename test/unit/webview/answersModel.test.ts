import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, Generations } from '../../../src/training/events.js';
import { answersJson, answersSummary, drawnAnswer, sameRow, verdictOf } from '../../../webview/answersModel.js';

const answer = (line: number, text: string, matches: boolean, cut = false): Answer => ({
  line,
  prompt: `question ${line}`,
  answer: text,
  reference: 'yes',
  matches,
  cut,
});
const told = (step: number, ...rows: Answer[]): Generations => ({ type: 'generations', step, rows });

test('right and wrong are said in words, also that an answer was cut', () => {
  assert.equal(verdictOf(answer(1, 'yes', true)), 'as expected');
  assert.equal(verdictOf(answer(1, 'no', false)), 'not as expected');
  assert.equal(verdictOf(answer(1, 'no no', false, true)), 'not as expected, and cut before its end');
  const rows = [answer(1, 'yes', true), answer(2, 'no', false)];
  assert.equal(answersSummary(told(40, ...rows)), 'Step 40: 1 of 2 answers as expected');
  assert.equal(answersSummary(told(0, ...rows)), 'Before the first step: 1 of 2 answers as expected');
  assert.equal(drawnAnswer(' \n'), '(empty)');
  assert.equal(drawnAnswer(' yes\n'), 'yes');
});

test('an answer is compared with that to the same row only', () => {
  const first = told(0, answer(1, 'no', false), answer(2, 'no', false));
  assert.equal(sameRow(first, answer(2, 'yes', true)), first.rows[1]);
  assert.equal(sameRow(first, answer(3, 'yes', true)), undefined);
  assert.equal(sameRow(first, { ...answer(2, 'yes', true), prompt: 'another' }), undefined);
});

test('the copy has each row once, with its answers by step', () => {
  const text = answersJson([
    told(0, answer(1, 'no', false), answer(2, 'yes', true)),
    told(5, answer(1, 'yes', true), answer(2, 'yes', true)),
  ]);
  assert.deepEqual(JSON.parse(text), [
    {
      line: 1,
      prompt: 'question 1',
      reference: 'yes',
      answers: [
        { step: 0, answer: 'no', matches: false, cut: false },
        { step: 5, answer: 'yes', matches: true, cut: false },
      ],
    },
    {
      line: 2,
      prompt: 'question 2',
      reference: 'yes',
      answers: [
        { step: 0, answer: 'yes', matches: true, cut: false },
        { step: 5, answer: 'yes', matches: true, cut: false },
      ],
    },
  ]);
});
