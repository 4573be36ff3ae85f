import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Step } from '../../../src/training/events.js';
import { createRunModel, remainingSeconds, takeEvent, tokensPerSecond } from '../../../webview/runModel.js';

function step(number: number, loss: number): Step {
  return {
    type: 'step',
    step: number,
    epoch: 0,
    loss,
    learningRate: 1,
    gradientNorm: 1,
    tokens: 100,
    supervisedTokens: 10,
    rows: 2,
    seconds: 0.5,
  };
}

test('a resumed run repeats steps: the last word counts', () => {
  const model = createRunModel();
  for (const [number, loss] of [
    [1, 9],
    [2, 8],
    [3, 7],
    [2, 6],
  ] as const)
    takeEvent(model, step(number, loss));
  assert.deepEqual(
    model.steps.map(({ step: number, loss }) => [number, loss]),
    [
      [1, 9],
      [2, 6],
    ],
  );
  assert.equal(model.count, 4);
});

test('evaluations of both splits at one step stand beside each other', () => {
  const model = createRunModel();
  const evaluation = {
    type: 'evaluation',
    step: 5,
    tokenAccuracy: 0,
    rowAccuracy: 0,
    rows: 1,
    supervisedTokens: 1,
    seconds: 1,
  } as const;
  takeEvent(model, { ...evaluation, split: 'validation', loss: 2 });
  takeEvent(model, { ...evaluation, split: 'train', loss: 1 });
  assert.deepEqual(
    model.evaluations.map(({ split }) => split),
    ['validation', 'train'],
  );
});

test('remaining time and speed come from the last steps', () => {
  const model = createRunModel();
  assert.equal(remainingSeconds(model), undefined);
  assert.equal(tokensPerSecond(model), undefined);
  takeEvent(model, {
    type: 'started',
    time: '',
    version: '',
    engine: 'embedded',
    config: '',
    folder: '',
    model: '',
    method: '',
    totalSteps: 10,
    seed: 0,
  });
  takeEvent(model, step(1, 1));
  takeEvent(model, step(2, 1));
  assert.equal(remainingSeconds(model), 4);
  assert.equal(tokensPerSecond(model), 200);
});

test('the activity before the first step ends with the first step', () => {
  const model = createRunModel();
  takeEvent(model, { type: 'progress', activity: 'Compiling', done: 0, total: 0 });
  assert.equal(model.progress?.activity, 'Compiling');
  takeEvent(model, step(1, 1));
  assert.equal(model.progress, undefined);
});
