import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../../../src/common/json.js';
import { bestAlone, bestTrial, foundTrial, recordAfter } from '../../../../src/engines/composition/record.js';
import { isRecord, readRecord } from '../../../../src/engines/composition/readRecord.js';
import { hubRemarks } from '../../../../src/engines/composition/remarks.js';
import { problem } from '../../../support/adapters.js';
import { recordOf } from './records.js';

const STOPPED = 'The search was stopped after 4 of 40 trials.';
const WORTH =
  'The loss of 5 rows that were searched with says little of others. Measure the mixture on rows that were held out.';
/** Four trials, the last of which is the best. */
const FOUR = [
  [[0, 0], 2],
  [[0.5, 0], 1.9],
  [[0, 0.5], 2.1],
  [[0.5, -0.5], 1.5],
] as const;

test('a search grows by its events, and the adapters have the weights of the best trial', () => {
  const began = recordAfter(undefined, { type: 'began', search: recordOf([]) });
  const compared = recordAfter(began, { type: 'compared', average: 1.8, alone: [1.9, null] });
  const after = FOUR.reduce(
    (record, [weights, loss], at) =>
      recordAfter(record, {
        type: 'trial',
        trial: at + 1,
        weights,
        loss,
        penalty: 0,
        objective: loss,
        best: 0,
        seconds: at,
      }),
    compared,
  );
  assert.ok(after !== undefined);
  assert.deepEqual(
    after.adapters.map(({ weight }) => weight),
    [0.5, -0.5],
  );
  assert.deepEqual([after.trials.length, after.seconds, bestTrial(after.trials), bestAlone(after)], [4, 3, 3, 0]);
  assert.equal(bestTrial([{ weights: [], loss: null, objective: null }]), undefined);
  assert.equal(bestAlone({}), undefined);
  const search = recordOf(FOUR);
  assert.equal(recordAfter(after, { type: 'finished', search, out: null, warnings: [] }), search);
});

test('what a mixture is worth is told: where it gains nothing, and that few rows say little', () => {
  const compared = { average: 1.8, alone: [1.9, 1.7] };
  assert.deepEqual(hubRemarks(recordOf(FOUR, { compared })), [STOPPED, WORTH]);
  assert.deepEqual(hubRemarks(recordOf(FOUR, { compared, budget: 4 })), [WORTH]);
  assert.deepEqual(hubRemarks(recordOf(FOUR, { compared, budget: 4, broken: 2 })), [
    '2 rows of the examples could not be used: only the others were searched with.',
    WORTH,
  ]);
  assert.deepEqual(hubRemarks(recordOf(FOUR, { compared: { average: 1.5, alone: [1.4, null] } })), [
    'imdb alone is as good on the examples or better: 1.400, the mixture 1.500.',
    'The average of all is as good on the examples or better: 1.500, the mixture 1.500.',
    STOPPED,
    WORTH,
  ]);
  assert.deepEqual(
    hubRemarks(recordOf(FOUR.slice(0, 1)))[0],
    'No mixture was better on the examples than the base model: all weights are 0.',
  );
  assert.deepEqual(hubRemarks(recordOf(FOUR.slice(0, 3))), [
    'With 2 adapters the first 3 trials only look around: more than 3 are needed.',
    WORTH,
  ]);
  const byHand = recordOf(FOUR, {
    adapters: [
      { folder: '/w/one', weight: 1 },
      { folder: '/w/two', weight: 1 },
    ],
  });
  assert.equal(foundTrial(byHand), undefined);
  assert.deepEqual(hubRemarks(byHand), [
    'The weights were set by hand: what this mixture is worth was not measured.',
    STOPPED,
  ]);
  assert.equal(hubRemarks(recordOf([[[0, 0], null]]))[0], 'No trial has a finite loss: there is no mixture.');
  const measured = (loss: number): { loss: number; tokenAccuracy: number } => ({ loss, tokenAccuracy: 0.5 });
  for (const [base, average, alone, said] of [
    [2, 1.9, 1.7, 'better than the base model, the best adapter alone and the average.'],
    [1.6, 1.9, 1.7, 'no better than the base model.'],
    [2, 1.9, 1.6, 'no better than the adapter that was best alone.'],
    [2, 1.5, 1.7, 'no better than the average, which needs no search.'],
  ] as const) {
    const heldOut = {
      data: ['h'],
      rows: 100,
      base: measured(base),
      average: measured(average),
      alone: { adapter: 0, ...measured(alone) },
      mixture: measured(1.6),
    };
    assert.equal(
      hubRemarks(recordOf(FOUR, { heldOut })).at(-1),
      `On 100 rows that were held out the mixture is ${said}`,
    );
  }
});

test('a record is read as it was written, also one of the first version, and nothing else is taken for one', () => {
  const record = recordOf([...FOUR, [[1, 1], null]], { compared: { average: null, alone: [1, 2] } });
  assert.deepEqual(readRecord(JSON.stringify(record), 'f'), record);
  const { adapters, data, trials, budget, bound, regularization } = record;
  assert.ok(
    isRecord(JSON.parse(JSON.stringify({ adapters, data, trials, budget, bound, regularization })) as Json),
  );
  for (const change of [
    { adapters: [{ folder: '/w/one', weight: 1 }] },
    { adapters: [], trials: [], compared: undefined },
    { adapters: [{ folder: 1, weight: 1 }, adapters[1]] },
    { trials: [{ weights: [0], loss: 1, objective: 1 }] },
    { trials: [{ weights: [0, 0], loss: '1', objective: 1 }] },
    { compared: { average: 1, alone: [1] } },
    { data: 'rows.jsonl' },
    { bound: null },
  ]) {
    assert.throws(() => readRecord(JSON.stringify({ ...record, ...change }), 'f'), problem('compose.record'));
  }
  assert.throws(() => readRecord('{', 'f'), problem('compose.record.json'));
});
