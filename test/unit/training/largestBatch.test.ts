import assert from 'node:assert/strict';
import { test } from 'node:test';
import { largestBatch, largestEvaluation, largestOf } from '../../../src/training/largestBatch.js';
import { plannedSteps, stepBatches } from '../../../src/training/steps.js';
import { UNEVEN, example, trainingOptions } from './jobs.js';

for (const packing of [false, true]) {
  test(`the largest batch is one that comes, and none is larger${packing ? ' (packed)' : ''}`, () => {
    // A row that is supervised from its start: nothing predicts its first token.
    const train = [...UNEVEN, example(26, 26)];
    const options = trainingOptions({ per_device_train_batch_size: 2, num_train_epochs: 3 });
    const job = { train, packing, maxLength: 40, options };
    const steps = stepBatches(job, 0);
    const batches = Array.from({ length: plannedSteps(job) }, () => steps.next().value.micro).flat();
    const found = largestBatch(job);
    assert.deepEqual(found, largestOf(batches));
    assert.equal(found.supervised, Math.max(...batches.map(({ targets }) => targets.length)));
    assert.ok(batches.some(({ rows, length }) => rows === found.rows && length === found.length));
    assert.ok(batches.every(({ rows, length }) => rows * length <= found.rows * found.length));
  });
}

test('the largest batch of an evaluation has its own size and its own rows', () => {
  const options = trainingOptions({ per_device_train_batch_size: 1, per_device_eval_batch_size: 2 });
  const validation = [example(5, 2), example(30, 4), example(9, 3)];
  const found = largestEvaluation({ validation, options, maxLength: 40 })!;
  assert.equal(found.length, 30);
  assert.equal(largestEvaluation({ validation: [], options, maxLength: 40 }), undefined);
  const alone = { ...options, per_device_eval_batch_size: 3 };
  assert.deepEqual(largestEvaluation({ validation, options: alone, maxLength: 40 }), {
    rows: 3,
    length: 30,
    supervised: validation.reduce(
      (sum, { supervised }) => sum + supervised.filter((each) => each === 1).length,
      0,
    ),
  });
});
