import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lossPicture, lossRows, signed, trialsCsv, weightMap } from '../../../webview/composeModel.js';
import { recordOf } from '../engines/composition/records.js';

/** The third has a larger loss than the second, and a smaller objective; the fifth is the best. */
const TRIALS = [
  [[0, 0], 2],
  [[1.5, 1.5], 1.5],
  [[0, 0.1], 1.51],
  [[-1.5, 0.5], null],
  [[0.25, -0.5], 1.25],
] as const;
const COMPARED = { average: 1.75, alone: [1.875, 1.625] };

test('signs are told by plus and minus, and 0 by none', () => {
  assert.deepEqual(
    [0.5124, -1.5, 0, -0.0001, 1.25].map((weight) => signed(weight)),
    ['+0.512', '−1.500', '0.000', '0.000', '+1.250'],
  );
});

test('the picture has the loss of each trial, of the best so far by its objective, and what to compare with', () => {
  const { curves } = lossPicture(recordOf(TRIALS, { compared: COMPARED }));
  const of = (key: string): number[] => Array.from(curves.find((curve) => curve.key === key)?.y ?? []);
  assert.deepEqual(of('loss'), [2, 1.5, 1.51, NaN, 1.25]);
  assert.deepEqual(of('best'), [2, 1.5, 1.51, 1.51, 1.25]);
  assert.deepEqual(of('base'), [2, 2]);
  assert.deepEqual(of('alone'), [1.625, 1.625], 'of trec, which is best alone');
  assert.equal(curves.find(({ key }) => key === 'alone')?.name, 'trec alone');
  assert.deepEqual(
    lossPicture(recordOf([])).curves.map(({ key }) => key),
    ['loss', 'best'],
  );
});

test('the table has the mixture, the base, the average and each adapter, and marks the least', () => {
  const measured = { loss: 1.3, tokenAccuracy: 0.5 };
  const heldOut = {
    data: ['h'],
    rows: 9,
    base: measured,
    average: measured,
    alone: { adapter: 1, ...measured },
    mixture: measured,
  };
  const rows = lossRows(recordOf(TRIALS, { compared: COMPARED, heldOut }));
  assert.deepEqual(
    rows.map(({ kind, loss, least, heldOut: held }) => [kind, loss, least, held?.loss]),
    [
      ['mixture', 1.25, true, 1.3],
      ['base', 2, false, 1.3],
      ['average', 1.75, false, 1.3],
      ['alone', 1.875, false, undefined],
      ['alone', 1.625, false, 1.3],
    ],
  );
  assert.ok(lossRows(recordOf([])).every(({ loss, least }) => loss === undefined && !least));
});

test('the map has a column for each trial, also for those to come, and all weights', () => {
  const { rows, columns, range } = weightMap(recordOf(TRIALS));
  assert.deepEqual([rows.length, columns.length, range.largest], [2, 40, 1.5]);
  assert.deepEqual(columns.slice(0, 6), ['1', '2', '3', '4', '5', '6']);
  assert.deepEqual(
    rows.map(({ name, cells }) => [name, ...cells.slice(0, 6).map((cell) => cell?.value)]),
    [
      ['imdb', 0, 1.5, 0, -1.5, 0.25, undefined],
      ['trec', 0, 1.5, 0.1, 0.5, -0.5, undefined],
    ],
  );
  assert.equal(rows[1]!.cells[4]!.label, 'trec, trial 5: weight −0.500, loss 1.250');
  assert.equal(rows[0]!.cells[3]!.label, 'imdb, trial 4: weight −1.500, loss not finite');
  assert.equal(rows[0]!.cells[5]!.label, 'imdb, trial 6: not tried yet');
  const long = weightMap(recordOf(TRIALS, { budget: 601 }));
  assert.deepEqual([long.columns.length, long.columns[9]], [151, '37']);
  assert.match(long.hint, /^One trial of 4 is shown/);
  assert.equal(long.rows[0]!.cells[1]!.label, 'imdb, trial 5: weight +0.250, loss 1.250');
});

test('CSV has every trial at full precision', () => {
  assert.equal(
    trialsCsv(recordOf(TRIALS.slice(2, 4))),
    [
      'trial,loss,objective,/w/runs/imdb/1/adapter,/w/runs/trec/1/adapter',
      '1,1.51,1.5125,0,0.1',
      '2,,,-1.5,0.5',
      '',
    ].join('\r\n'),
  );
});
