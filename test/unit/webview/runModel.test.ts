import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunEvent, Step } from '../../../src/training/events.js';
import {
  createRunModel,
  elapsedSeconds,
  remainingSeconds,
  takeEvent,
  tokensPerSecond,
} from '../../../webview/runModel.js';

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

test('elapsed time leaves pauses out, and stands still in one', () => {
  const model = createRunModel();
  const at = (second: number): number => Date.parse('2026-01-01T00:00:00Z') + 1000 * second;
  const state = { kind: 'running', file: '/a.peft.yaml', began: at(0) } as const;
  assert.equal(elapsedSeconds(model, { kind: 'idle' }, at(5)), NaN);
  assert.equal(elapsedSeconds(model, state, at(10)), 10);
  takeEvent(model, { type: 'paused', step: 3, time: new Date(at(10)).toISOString() });
  assert.equal(elapsedSeconds(model, { ...state, kind: 'paused' }, at(60)), 10);
  takeEvent(model, { type: 'continued', step: 3, seconds: 50 });
  assert.equal(elapsedSeconds(model, state, at(65)), 15);
  const failed = {
    ...state,
    kind: 'failed',
    ended: at(70),
    problem: { code: 'x', message: 'x' },
    others: [],
  } as const;
  assert.equal(elapsedSeconds(model, failed, at(99)), 20);
  takeEvent(model, { type: 'paused', step: 4, time: new Date(at(68)).toISOString() });
  assert.equal(elapsedSeconds(model, failed, at(99)), 18, 'killed in a pause');
});

test('the log has what happened but no steps; old lines make room', () => {
  const model = createRunModel();
  takeEvent(model, step(1, 1));
  assert.equal(model.log.lines.length, 0);
  takeEvent(model, { type: 'checkpoint', step: 1, folder: '/run/checkpoint-1' });
  takeEvent(model, { type: 'log', level: 'warning', message: 'careful' });
  assert.deepEqual(
    model.log.lines.map(({ level }) => level),
    ['info', 'warning'],
  );
  assert.equal(model.log.serious, 1);
  for (let line = 0; line < 10_000; line++)
    takeEvent(model, { type: 'log', level: 'info', message: String(line) });
  const { lines, dropped } = model.log;
  assert.ok(lines.length < 5000);
  assert.equal(lines.at(-1)?.text, '9999');
  assert.equal(dropped + lines.length, 10_002);
});

test('a run that goes on tells of its data once more: shown is what it told last', () => {
  const model = createRunModel();
  const told = [
    { type: 'started', config: '/w/sql.peft.yaml', model: 'm', method: 'lora', totalSteps: 9 },
    { type: 'data', split: 'train', report: { broken: [], brokenCount: 0 } },
    { type: 'sample', split: 'train', line: 1, spans: [] },
  ] as unknown as readonly RunEvent[];
  for (const event of [...told, ...told]) takeEvent(model, event);
  assert.deepEqual([model.data.length, model.samples.length], [1, 1]);
});

test('answers of a step that is repeated are the last ones', () => {
  const model = createRunModel();
  const row = { line: 1, prompt: 'a', answer: 'b', reference: 'c', matches: false, cut: false };
  for (const [step, answer] of [
    [0, 'first'],
    [3, 'lost'],
    [6, 'lost'],
    [3, 'again'],
  ] as const) {
    takeEvent(model, { type: 'generations', step, rows: [{ ...row, answer }] });
  }
  assert.deepEqual(
    model.generations.items().map(({ step, rows }) => [step, rows[0]?.answer]),
    [
      [0, 'first'],
      [3, 'again'],
    ],
  );
  assert.equal(model.log.lines[0]?.text, 'step 0: 0 of 1 answers as expected');
});

test('what a fusion takes from its adapters: a site for each place, adapter and task', () => {
  const model = createRunModel();
  const path = 'model.layers.1.mlp';
  const share = (adapter: string, task: string, value: number) => ({ path, adapter, task, share: value });
  takeEvent(model, { type: 'attention', step: 4, sites: [share('news', '', 0.25), share('chat', '', 0.75)] });
  takeEvent(model, { type: 'attention', step: 8, sites: [share('news', 'poems', 1)] });
  assert.deepEqual(model.attention.paths, [`${path}: news`, `${path}: chat`, `${path}: news ← poems`]);
  assert.deepEqual(
    model.attention.frames.items().map(({ step, values }) => [step, [...values.share!].slice(0, 2)]),
    [
      [4, [0.25, 0.75]],
      [8, [NaN, NaN]],
    ],
  );
  assert.deepEqual(model.log.lines, []);
});

test('methods that were attached anew: what they cover now, with the warnings of before', () => {
  const model = createRunModel();
  const coverage = (trainable: number): Extract<RunEvent, { type: 'coverage' }> => ({
    type: 'coverage',
    targets: [],
    modules: [],
    layersCovered: 1,
    layers: 1,
    trainable,
    total: 100,
    saves: '',
    warnings: [{ code: 'told', message: `of ${trainable}` }],
  });
  takeEvent(model, coverage(50));
  takeEvent(model, { ...coverage(3), warnings: [], anew: true });
  assert.equal(model.coverage?.trainable, 3);
  assert.deepEqual(
    model.coverage?.warnings.map(({ message }) => message),
    ['of 50'],
  );
  takeEvent(model, coverage(20));
  assert.deepEqual(
    model.coverage?.warnings.map(({ message }) => message),
    ['of 20'],
  );
});
