import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Evaluation, Step } from '../../../src/training/events.js';
import { createColumns, followRun } from '../../../webview/curveColumns.js';
import type { RunColumns } from '../../../webview/curveColumns.js';
import { picturesOf } from '../../../webview/curvePictures.js';
import type { Picture } from '../../../webview/curvePictures.js';
import { curvesCsv, describePicture, readAt, tableRows } from '../../../webview/curveText.js';
import { fullSpan, shiftedWithin, zoomed } from '../../../webview/curveRange.js';

function columns(steps: readonly Partial<Step>[], evaluations: readonly Evaluation[] = []): RunColumns {
  const run = createColumns();
  const numbers = { epoch: 0, learningRate: 1e-4, gradientNorm: 1, tokens: 10, supervisedTokens: 5, rows: 1 };
  followRun(run, {
    steps: steps.map((more, at) => ({ type: 'step', step: at + 1, loss: 1, seconds: 1, ...numbers, ...more })),
    evaluations,
  });
  return run;
}

const evaluated: Evaluation = {
  type: 'evaluation',
  step: 2,
  split: 'validation',
  loss: 1.5,
  tokenAccuracy: 0.5,
  rowAccuracy: 0.25,
  rows: 4,
  supervisedTokens: 9,
  seconds: 1,
};

function named(pictures: readonly Picture[], id: string): Picture {
  const found = pictures.find((picture) => picture.id === id);
  assert.ok(found, id);
  return found;
}

test('nothing is shown before there is something', () => {
  const run = { id: '', name: 'this run', columns: createColumns() };
  assert.deepEqual(picturesOf([run], { axis: 'step', memory: 0.9 }), []);
});

test('a plain run shows loss, rate, norm and pace; evaluations add accuracies', () => {
  const run = { id: '', name: 'this run', columns: columns([{ loss: 2 }, { loss: 1 }]) };
  const plain = picturesOf([run], { axis: 'step', memory: 0 });
  assert.deepEqual(
    plain.map(({ id }) => id),
    ['loss', 'learningRate', 'gradientNorm', 'speed'],
  );
  assert.deepEqual(
    named(plain, 'loss').curves.map(({ name, look }) => [name, look]),
    [['training loss', 'line']],
  );
  const tested = { ...run, columns: columns([{}, {}], [evaluated]) };
  const pictures = picturesOf([tested], { axis: 'step', memory: 0 });
  assert.deepEqual(
    named(pictures, 'accuracy').curves.map(({ y }) => Array.from(y)),
    [[0.5], [0.25]],
  );
});

test('smoothing says so, stands over the raw values, and leaves the learning rate alone', () => {
  const run = { id: '', name: 'this run', columns: columns([{ loss: 2 }, { loss: 1 }]) };
  const pictures = picturesOf([run], { axis: 'step', memory: 0.9 });
  assert.deepEqual(
    named(pictures, 'loss').curves.map(({ name, look }) => [name, look]),
    [
      ['training loss', 'faint'],
      ['training loss (smoothed, 0.9 EMA debiased)', 'line'],
    ],
  );
  assert.equal(named(pictures, 'learningRate').curves.length, 1);
});

test('with regularizers the task, the total and each term are apart', () => {
  const steps = [{ loss: 2, terms: { orthogonality: 0.5, decay: 0.1 } }];
  const run = { id: '', name: 'this run', columns: columns(steps) };
  const pictures = picturesOf([run], { axis: 'step', memory: 0 });
  assert.deepEqual(
    named(pictures, 'loss').curves.map(({ name, y }) => [name, Array.from(y)]),
    [
      ['training loss, task alone', [2]],
      ['training loss, with regularizers', [2.6]],
    ],
  );
  assert.deepEqual(
    named(pictures, 'terms').curves.map(({ name, y }) => [name, Array.from(y)]),
    [
      ['orthogonality', [0.5]],
      ['decay', [0.1]],
    ],
  );
});

test('a run laid over has its name, a colour of its own and no raw values', () => {
  const runs = ['', '/runs/other'].map((id) => ({
    id,
    name: id === '' ? 'this' : 'other',
    columns: columns([{}, {}]),
  }));
  const { curves } = named(picturesOf(runs, { axis: 'tokens', memory: 0.6 }), 'loss');
  assert.deepEqual(
    curves.map(({ name, color, look }) => [name, color, look]),
    [
      ['training loss', 'curve-training', 'faint'],
      ['training loss (smoothed, 0.6 EMA debiased)', 'curve-training', 'line'],
      ['other: training loss (smoothed)', 'run-1', 'dashed'],
    ],
  );
  assert.equal(new Set(curves.map(({ key }) => key)).size, curves.length);
});

test('tables and CSV hold every point of what is shown, at its place', () => {
  const run = {
    id: '',
    name: 'this run',
    columns: columns([{ loss: 3 }, { loss: NaN }, { loss: 1 }], [evaluated]),
  };
  const { curves } = named(picturesOf([run], { axis: 'step', memory: 0 }), 'loss');
  assert.deepEqual(tableRows(curves, [2, 3]), [
    { x: 2, values: [NaN, 1.5] },
    { x: 3, values: [1, undefined] },
  ]);
  const quoted = curves.map((curve) => ({ ...curve, column: `a "b", ${curve.column}` }));
  assert.equal(
    curvesCsv(quoted, 'step', [1, 3]),
    'step,"a ""b"", loss","a ""b"", validation_loss"\r\n1,3,\r\n2,,1.5\r\n3,1,\r\n',
  );
});

test('a picture is told in words', () => {
  const losses = Array.from({ length: 40 }, (_, at) => ({ loss: 5 - at / 10 }));
  const run = { id: '', name: 'this run', columns: columns(losses, [evaluated]) };
  const picture = named(picturesOf([run], { axis: 'step', memory: 0 }), 'loss');
  const text = describePicture(picture, picture.curves, 'step');
  assert.match(text, /^Loss: mean cross-entropy/);
  assert.match(
    text,
    /training loss: 40 points, last 1\.100 at step 40, lowest 1\.100 at step 40, highest 5\.000 at step 1, lately falling/,
  );
  assert.match(text, /validation loss: 1\.500 at step 2$/);
  const [training, validation] = picture.curves;
  assert.equal(readAt(training!, 3, picture, 'step'), '4.800');
  // A value from elsewhere says from where.
  assert.equal(readAt(validation!, 3, picture, 'step'), '1.500 (step 2)');
});

test('zooming keeps what is pointed at in its place, and ends at the whole', () => {
  const whole = [0, 100] as const;
  const [from, to] = zoomed(whole, 0.5, 20, whole)!;
  assert.deepEqual([from, to], [10, 60]);
  assert.equal(zoomed([10, 60], 2, 20, whole), undefined);
  // At an edge the span stays within the whole.
  assert.deepEqual(zoomed([90, 100], 2, 90, whole), [80, 100]);
  assert.deepEqual(shiftedWithin([10, 20], -5, whole), [0, 10]);
  assert.deepEqual(shiftedWithin([10, 20], 0.5, whole), [15, 25]);
  assert.equal(fullSpan([]), undefined);
});
