import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TrainingOptions } from '../../../src/config/schema.js';
import { learningRate, rateAt, warmupSteps } from '../../../src/training/schedule.js';
import { fixture } from '../../support/fixtures.js';
import { trainingOptions } from './jobs.js';

interface Case {
  type: TrainingOptions['lr_scheduler_type'];
  kwargs: NonNullable<TrainingOptions['lr_scheduler_kwargs']>;
  warmup: number;
  total: number;
  rate: number;
  rates: number[];
}

const made = JSON.parse(readFileSync(fixture('schedules/schedules.json'), 'utf8')) as {
  schedules: Case[];
  relative: Record<'plain' | 'warmup_init', Record<string, number>>;
};
for (const { type, kwargs, warmup, total, rate, rates } of made.schedules) {
  const extra = Object.entries(kwargs).map(([key, value]) => ` ${key} ${value}`);
  test(`${type}${extra.join()} with ${warmup} of ${total} steps of warm-up is Transformers'`, () => {
    const options = trainingOptions({
      lr_scheduler_type: type,
      lr_scheduler_kwargs: kwargs,
      learning_rate: rate,
      warmup_steps: warmup,
    });
    for (const [at, expected] of rates.entries()) {
      const found = learningRate(options, at + 1, total);
      assert.ok(Math.abs(found - expected) <= 1e-15 * rate, `step ${at + 1}: ${found} for ${expected}`);
    }
  });
}

test('every schedule has a case', () => {
  const names = TrainingOptions.properties.lr_scheduler_type.anyOf.map((member) => member.const);
  assert.deepEqual(new Set(made.schedules.map(({ type }) => type)), new Set(names));
});

test("Adafactor's relative step is Transformers', whatever the schedule", () => {
  for (const [name, rates] of Object.entries(made.relative)) {
    const options = trainingOptions({
      optim: 'adafactor',
      adafactor_relative_step: true,
      adafactor_warmup_init: name === 'warmup_init',
      warmup_steps: 5,
    });
    for (const [step, expected] of Object.entries(rates)) {
      const found = learningRate(options, Number(step), 200_000);
      assert.ok(Math.abs(found - expected) <= 1e-15 * expected, `${name}, step ${step}: ${found} for ${expected}`);
    }
  }
});

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
    [1, 6, 11, 50, 110].map((step) => at('constant_with_warmup', step)),
    [0, 0.5, 1, 1, 1],
  );
  assert.deepEqual(
    [1, 110].map((step) => at('constant', step)),
    [1, 1],
  );
  assert.ok(Math.abs(at('cosine', 36) - 0.5 * (1 + Math.SQRT1_2)) < 1e-12);
  assert.ok(Math.abs(at('cosine', 61) - 0.5) < 1e-12);
  assert.equal(at('inverse_sqrt', 41), 0.5);
});

test('the share of warm-up is rounded up; a number of steps goes before it', () => {
  assert.equal(warmupSteps(trainingOptions({ warmup_ratio: 0.1 }), 25), 3);
  assert.equal(warmupSteps(trainingOptions({ warmup_ratio: 0.1, warmup_steps: 2 }), 25), 2);
  assert.equal(warmupSteps(trainingOptions(), 25), 0);
});

test('methods act on the schedule, and on what those before them make of it', () => {
  const options = trainingOptions({ lr_scheduler_type: 'linear', learning_rate: 1 });
  const half = { learningRate: () => 0.5 };
  const anew: Parameters<typeof rateAt>[1][number] = {
    learningRate: ({ step, totalSteps }, schedule) =>
      schedule({ step: ((step - 1) % 5) + 1, totalSteps: totalSteps / 2 }),
  };
  const late: typeof anew = { learningRate: (at, schedule) => (at.step < 3 ? 0 : schedule(at)) };
  const rates = (...methods: (typeof anew)[]): number[] =>
    [1, 2, 3, 6, 7].map((step) => rateAt(options, methods, { step, totalSteps: 10 }));
  assert.deepEqual(rates(), [1, 0.9, 0.8, 0.5, 0.4]);
  assert.deepEqual(rates({}, anew), [1, 0.8, 0.6, 1, 0.8]);
  assert.deepEqual(rates(anew, late), [0, 0, 0.6, 1, 0.8]);
  assert.deepEqual(rates(half, late), [0, 0, 0.5, 0.5, 0.5]);
});
