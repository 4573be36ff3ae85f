import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { learningRate, warmupSteps } from '../../../src/training/schedule.js';
import { fixture } from '../../support/fixtures.js';
import { trainingOptions } from './jobs.js';

interface Case {
  type: 'constant' | 'linear' | 'cosine';
  warmup: number;
  total: number;
  rate: number;
  rates: number[];
}

const cases = JSON.parse(readFileSync(fixture('schedules/schedules.json'), 'utf8')) as Case[];
for (const { type, warmup, total, rate, rates } of cases) {
  test(`${type} with ${warmup} of ${total} steps of warm-up is Transformers'`, () => {
    const options = trainingOptions({ lr_scheduler_type: type, learning_rate: rate, warmup_steps: warmup });
    for (const [at, expected] of rates.entries()) {
      const found = learningRate(options, at + 1, total);
      assert.ok(Math.abs(found - expected) <= 1e-15, `step ${at + 1}: ${found} for ${expected}`);
    }
  });
}

test('closed forms', () => {
  const at = (type: Case['type'], step: number): number =>
    learningRate(trainingOptions({ lr_scheduler_type: type, learning_rate: 1, warmup_steps: 10 }), step, 110);
  assert.deepEqual(
    [1, 6, 11].map((step) => at('linear', step)),
    [0, 0.5, 1],
  );
  assert.deepEqual(
    [61, 111].map((step) => at('linear', step)),
    [0.5, 0],
  );
  assert.deepEqual(
    [11, 50, 110].map((step) => at('constant', step)),
    [1, 1, 1],
  );
  assert.ok(Math.abs(at('cosine', 36) - 0.5 * (1 + Math.SQRT1_2)) < 1e-12);
  assert.ok(Math.abs(at('cosine', 61) - 0.5) < 1e-12);
});

test('the share of warm-up is rounded up; a number of steps goes before it', () => {
  assert.equal(warmupSteps(trainingOptions({ warmup_ratio: 0.1 }), 25), 3);
  assert.equal(warmupSteps(trainingOptions({ warmup_ratio: 0.1, warmup_steps: 2 }), 25), 2);
  assert.equal(warmupSteps(trainingOptions(), 25), 0);
});
