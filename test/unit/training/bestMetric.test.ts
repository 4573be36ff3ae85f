import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrainingOptions } from '../../../src/config/schema.js';
import { createBest } from '../../../src/training/bestMetric.js';
import type { Metrics } from '../../../src/training/evaluate.js';
import { trainingOptions } from './jobs.js';

const metrics = (parts: Partial<Metrics>): Metrics => ({
  loss: 1,
  tokenAccuracy: 0.5,
  rowAccuracy: 0.5,
  rows: 4,
  supervisedTokens: 8,
  ...parts,
});

/** What is said of each loss in turn: `+` a new best one, `!` time to stop. */
function verdicts(options: Partial<TrainingOptions>, values: readonly number[]): string {
  const best = createBest(trainingOptions(options));
  return values
    .map((loss, at) => {
      const { improved, stop } = best.consider(at + 1, metrics({ loss }));
      return `${improved ? '+' : '-'}${stop ? '!' : ''}`;
    })
    .join('');
}

test('the lowest loss is the best; an equal one is none', () => {
  assert.equal(verdicts({}, [3, 2, 2, 2.5, 1]), '++--+');
});

test('stops after so many evaluations in a row without a better one', () => {
  assert.equal(verdicts({ early_stopping_patience: 2 }, [3, 4, 2, 2.5, 2]), '+-+--!');
  assert.equal(verdicts({ early_stopping_patience: 1 }, [3, 3]), '+-!');
  assert.equal(verdicts({}, [1, 2, 2, 2, 2]), '+----');
});

test('a gain within the threshold is the best so far, and counts as none', () => {
  const options = { early_stopping_patience: 2, early_stopping_threshold: 0.5 };
  assert.equal(verdicts(options, [3, 2.75, 2.5]), '+++!');
  // Each gain is over the best before it, not over the last that counted.
  assert.equal(verdicts(options, [3, 2.75, 2.25]), '+++!');
  assert.equal(verdicts(options, [3, 2.75, 2]), '+++');
});

test('accuracies are better the higher they are', () => {
  for (const [metric, name] of [
    ['eval_token_accuracy', 'tokenAccuracy'],
    ['eval_row_accuracy', 'rowAccuracy'],
  ] as const) {
    const best = createBest(trainingOptions({ metric_for_best_model: metric }));
    const found = [0.2, 0.4, 0.3].map((value, at) => best.consider(at + 1, metrics({ [name]: value })).improved);
    assert.deepEqual(found, [true, true, false]);
    assert.deepEqual(best.toJson(), { best: { step: 2, value: 0.4 }, waited: 1 });
  }
});

test('the model before the first step takes no part', () => {
  const best = createBest(trainingOptions({ early_stopping_patience: 1 }));
  assert.deepEqual(best.consider(0, metrics({ loss: 1 })), { improved: false, stop: false });
  assert.deepEqual(best.consider(5, metrics({ loss: 2 })), { improved: true, stop: false });
});

test('goes on from what a checkpoint kept', () => {
  const options = trainingOptions({ early_stopping_patience: 2 });
  const first = createBest(options);
  assert.deepEqual(first.toJson(), { waited: 0 });
  first.consider(1, metrics({ loss: 1 }));
  first.consider(2, metrics({ loss: 2 }));
  const kept = first.toJson();
  assert.deepEqual(kept, { best: { step: 1, value: 1 }, waited: 1 });
  assert.deepEqual(createBest(options, kept).consider(3, metrics({ loss: 1.5 })), { improved: false, stop: true });
  assert.deepEqual(createBest(options, kept).consider(3, metrics({ loss: 0.5 })), { improved: true, stop: false });
  assert.deepEqual(kept, { best: { step: 1, value: 1 }, waited: 1 });
});
