import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Evaluation, Step } from '../../../src/training/events.js';
import { createColumn, createSmoothed, cut, follow, push, valuesOf } from '../../../webview/curveColumn.js';
import {
  createColumns,
  evaluationLine,
  followRun,
  lineOf,
  stepAt,
  termsOf,
} from '../../../webview/curveColumns.js';

function step(number: number, more: Partial<Step> = {}): Step {
  return {
    type: 'step',
    step: number,
    epoch: 0,
    loss: 4 - number / 100,
    learningRate: 1e-4,
    gradientNorm: 1,
    tokens: 100,
    supervisedTokens: 50,
    rows: 4,
    seconds: 0.5,
    ...more,
  };
}

function evaluation(number: number, split: Evaluation['split']): Evaluation {
  const numbers = { loss: 2, tokenAccuracy: 0.5, rowAccuracy: 0.25, rows: 8, supervisedTokens: 80, seconds: 1 };
  return { type: 'evaluation', step: number, split, ...numbers };
}

test('columns grow beyond their room and forget their end', () => {
  const column = createColumn();
  for (let at = 0; at < 1000; at += 1) push(column, at);
  assert.deepEqual(
    [...valuesOf(column)],
    Array.from({ length: 1000 }, (_, at) => at),
  );
  cut(column, 3);
  push(column, 9);
  assert.deepEqual([...valuesOf(column)], [0, 1, 2, 9]);
});

test('the average that follows piece by piece is the one of the whole, unbiased from its first value', () => {
  const column = createColumn();
  const piecewise = createSmoothed(0.5);
  for (const value of [1, 2, NaN, 3]) {
    push(column, value);
    follow(piecewise, column);
  }
  const whole = createSmoothed(0.5);
  follow(whole, column);
  assert.deepEqual([...valuesOf(piecewise.column)], [...valuesOf(whole.column)]);
  const [first, second, gap, third] = valuesOf(whole.column);
  assert.equal(first, 1);
  assert.ok(Math.abs(second! - (0.25 * 1 + 0.5 * 2) / 0.75) < 1e-12);
  assert.ok(Number.isNaN(gap));
  assert.ok(Math.abs(third! - (0.125 * 1 + 0.25 * 2 + 0.5 * 3) / 0.875) < 1e-12);
});

test('steps become measures over step, time and tokens; a term that comes late has a gap before', () => {
  const run = createColumns();
  const steps = [step(1, { loss: 2 }), step(2, { loss: 1, terms: { orthogonality: 0.25 }, seconds: 0 })];
  followRun(run, { steps, evaluations: [] });
  assert.deepEqual(termsOf(run), ['orthogonality']);
  assert.deepEqual([...Array.from(lineOf(run, 'total', 'step').y)], [2, 1.25]);
  assert.deepEqual([...Array.from(lineOf(run, 'term:orthogonality', 'time').y)], [NaN, 0.25]);
  assert.deepEqual([...Array.from(lineOf(run, 'loss', 'time').x)], [0.5, 0.5]);
  assert.deepEqual([...Array.from(lineOf(run, 'speed', 'tokens').x)], [100, 200]);
  // Without time there is no pace.
  assert.deepEqual([...Array.from(lineOf(run, 'speed', 'step').y)], [200, NaN]);
  assert.deepEqual(stepAt(run, 1), { step: 2, time: 0.5, tokens: 200 });
  assert.deepEqual(lineOf(run, 'term:none', 'step'), { x: [], y: [] });
});

test('a run that goes back to a checkpoint forgets what it had said, in its averages too', () => {
  const run = createColumns();
  const steps = [step(1), step(2), step(3), step(4)];
  followRun(run, { steps, evaluations: [] });
  lineOf(run, 'loss', 'step', 0.9);
  steps.length = 2;
  steps.push(step(3, { loss: 7 }));
  followRun(run, { steps, evaluations: [] });
  const fresh = createColumns();
  followRun(fresh, { steps: [...steps], evaluations: [] });
  for (const memory of [0, 0.9]) {
    assert.deepEqual(lineOf(run, 'loss', 'tokens', memory), lineOf(fresh, 'loss', 'tokens', memory));
  }
  assert.deepEqual(Array.from(lineOf(run, 'loss', 'time').x), [0.5, 1, 1.5]);
  // The same steps in other objects are another run.
  followRun(run, { steps: [step(1, { loss: 3 })], evaluations: [] });
  assert.deepEqual(Array.from(lineOf(run, 'loss', 'step').y), [3]);
});

test('evaluations lie where their step lies', () => {
  const run = createColumns();
  const evaluations = [evaluation(0, 'validation'), evaluation(2, 'validation'), evaluation(2, 'train')];
  followRun(run, { steps: [step(1), step(2), step(3)], evaluations });
  assert.deepEqual(evaluationLine(run, 'validation', 'loss', 'step'), { x: [0, 2], y: [2, 2] });
  assert.deepEqual(evaluationLine(run, 'validation', 'tokenAccuracy', 'tokens'), { x: [0, 200], y: [0.5, 0.5] });
  assert.deepEqual(evaluationLine(run, 'train', 'rowAccuracy', 'time'), { x: [1], y: [0.25] });
});
