// The loop itself, on a runtime that computes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrainingOptions } from '../../../src/config/schema.js';
import type { Example } from '../../../src/data/example.js';
import { longest } from '../../../src/training/job.js';
import { plannedSteps } from '../../../src/training/steps.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { JobParts } from './jobs.js';
import { eventsOf, example, recordingRuntime, run, trainingOptions } from './jobs.js';

const opened = await openModel(fixture('lora-reference/tiny-llama'));

/** Rows of different lengths, each with its own first token. */
const rows = (count: number): Example[] =>
  Array.from({ length: count }, (_, at) => {
    const row = example(4 + (at % 5), 2, at);
    return { ...row, ids: [at, ...row.ids.slice(1)] };
  });

/** Runs the loop and notes the first tokens of the rows of every micro-batch of training. */
async function loop(parts: JobParts): Promise<Awaited<ReturnType<typeof run>> & { batches: number[][] }> {
  const batches: number[][] = [];
  const runtime = recordingRuntime((feeds) => {
    if (feeds['loss_scale'] === undefined) return;
    const [ids, positions, segments] = ['input_ids', 'positions', 'segments'].map((name) => feeds[name]!.data);
    batches.push([...ids!].map(Number).filter((_, at) => positions![at] === 0 && segments![at] !== 0));
  });
  return { ...(await run(opened, { ...parts, runtime })), batches };
}

function planned(options: Partial<TrainingOptions>, packing = false): number {
  return plannedSteps({ train: rows(21), options: trainingOptions(options), packing, maxLength: 64 });
}

test('planned steps: epochs, batches, accumulation, fractions, max_steps', () => {
  const batch = (size: number, more: Partial<TrainingOptions> = {}): number =>
    planned({ per_device_train_batch_size: size, num_train_epochs: 1, ...more });
  assert.equal(batch(8), 3);
  assert.equal(batch(7), 3);
  assert.equal(batch(30), 1);
  assert.equal(batch(4, { gradient_accumulation_steps: 4 }), 2, 'six batches: a step of four and one of two');
  assert.equal(batch(8, { num_train_epochs: 2 }), 6);
  assert.equal(batch(2, { num_train_epochs: 0.5 }), 6, 'eleven batches');
  assert.equal(batch(8, { num_train_epochs: 1.4 }), 5);
  assert.equal(batch(8, { num_train_epochs: 0.01 }), 1);
  assert.equal(batch(8, { num_train_epochs: 5, max_steps: 2 }), 2);
  assert.equal(batch(1, { max_steps: 100 }), 100);
  assert.equal(
    planned({ per_device_train_batch_size: 1, num_train_epochs: 1 }, true),
    2,
    '126 tokens in rows of 64',
  );
});

for (const [name, parts] of [
  ['padded', { options: { per_device_train_batch_size: 4 } }],
  ['accumulated', { options: { per_device_train_batch_size: 2, gradient_accumulation_steps: 3 } }],
  ['packed', { options: { per_device_train_batch_size: 2 }, packing: true, maxLength: 16 }],
] as [string, JobParts][]) {
  test(`every epoch visits every example once, in another order: ${name}`, async () => {
    const epochs = 3;
    const train = rows(21);
    const options = { ...parts.options, num_train_epochs: epochs };
    const { batches, events } = await loop({ ...parts, options, train });
    const visited = batches.flat();
    assert.equal(visited.length, epochs * 21);
    const passes = Array.from({ length: epochs }, (_, at) => visited.slice(at * 21, (at + 1) * 21));
    const all = [...train.keys()];
    for (const pass of passes)
      assert.deepEqual(
        [...pass].sort((a, b) => a - b),
        all,
      );
    assert.notDeepEqual(passes[0], passes[1]);
    const steps = eventsOf(events, 'step');
    assert.equal(
      steps.reduce((sum, step) => sum + step.rows, 0),
      epochs * 21,
    );
    assert.equal(
      steps.reduce((sum, step) => sum + step.tokens, 0),
      epochs * train.reduce((sum, each) => sum + each.ids.length, 0),
    );
    assert.equal(steps.at(-1)!.epoch, epochs);
  });
}

test('a fraction of an epoch, and max_steps beyond one', async () => {
  const half = await loop({ train: rows(8), options: { per_device_train_batch_size: 2, num_train_epochs: 0.5 } });
  assert.equal(half.batches.flat().length, 4);
  assert.equal(eventsOf(half.events, 'step').at(-1)!.epoch, 0.5);
  const more = await loop({ train: rows(8), options: { per_device_train_batch_size: 4, max_steps: 5 } });
  assert.equal(more.batches.length, 5);
  assert.equal(eventsOf(more.events, 'step').at(-1)!.epoch, 2.5);
});

test('evaluation before the first step, at the end of epochs or every eval_steps, and at the end', async () => {
  const at = async (options: Partial<TrainingOptions>): Promise<number[]> => {
    const base = { per_device_train_batch_size: 4, ...options };
    const { events } = await loop({ train: rows(8), validation: rows(3), options: base });
    return eventsOf(events, 'evaluation').map(({ step }) => step);
  };
  assert.deepEqual(await at({ num_train_epochs: 3 }), [0, 2, 4, 6]);
  assert.deepEqual(await at({ num_train_epochs: 3, eval_steps: 4 }), [0, 4, 6]);
  assert.deepEqual(await at({ num_train_epochs: 2, eval_steps: 2 }), [0, 2, 4]);
  assert.deepEqual(await at({ max_steps: 3 }), [0, 2, 3]);
});

test('logging_steps thins the step events, the last one is told', async () => {
  const { events, metrics } = await loop({
    train: rows(8),
    options: { per_device_train_batch_size: 2, num_train_epochs: 3, logging_steps: 5 },
  });
  assert.deepEqual(
    eventsOf(events, 'step').map(({ step }) => step),
    [5, 10, 12],
  );
  assert.deepEqual(Object.keys(metrics), ['train_loss']);
});

test('the metrics are those of the first and the last evaluation', async () => {
  const { metrics } = await loop({ train: rows(4), validation: rows(3), options: { num_train_epochs: 1 } });
  assert.deepEqual(Object.keys(metrics).sort(), [
    'eval_loss',
    'eval_row_accuracy',
    'eval_token_accuracy',
    'initial_eval_loss',
    'initial_eval_row_accuracy',
    'initial_eval_token_accuracy',
    'train_loss',
  ]);
  assert.equal(metrics['eval_row_accuracy'], 1);
  assert.equal(metrics['eval_loss'], 1 / 6, 'the sum of a batch over its six supervised tokens');
});

test('stop: after the present step, without an evaluation; at once when it was asked before', async () => {
  for (const after of [0, 1, 3]) {
    let steps = 0;
    const {
      reason,
      steps: taken,
      events,
    } = await run(opened, {
      train: rows(8),
      validation: rows(3),
      options: { per_device_train_batch_size: 2, num_train_epochs: 2 },
      runtime: recordingRuntime((feeds) => (steps += feeds['loss_scale'] === undefined ? 0 : 1)),
      stopRequested: () => steps >= after,
    });
    assert.deepEqual([reason, taken], ['stopped', after]);
    assert.equal(steps, after);
    assert.equal(eventsOf(events, 'evaluation').length, 1);
  }
});

test('a stop during an evaluation: what was measured on some rows is not told as the whole', async () => {
  let evaluated = 0;
  const { reason, events, metrics } = await run(opened, {
    train: rows(8),
    validation: rows(6),
    options: { per_device_train_batch_size: 2, per_device_eval_batch_size: 2, num_train_epochs: 2 },
    runtime: recordingRuntime((feeds) => (evaluated += feeds['loss_scale'] === undefined ? 1 : 0)),
    // Three batches are the evaluation before the first step; the next one is broken off at its first.
    stopRequested: () => evaluated >= 4,
  });
  assert.equal(reason, 'stopped');
  assert.deepEqual(
    eventsOf(events, 'evaluation').map(({ step }) => step),
    [0],
  );
  assert.ok(!('eval_loss' in metrics));
});

test('a stop that comes with the last step is a completed run, without metrics of an older evaluation', async () => {
  let taken = 0;
  const { reason, steps, metrics } = await loop({
    train: rows(2),
    validation: rows(2),
    options: { max_steps: 3, eval_steps: 2 },
    emit: ({ type }) => (taken += type === 'step' ? 1 : 0),
    stopRequested: () => taken === 3,
  });
  assert.deepEqual([reason, steps], ['completed', 3]);
  assert.ok('initial_eval_loss' in metrics && !('eval_loss' in metrics));
});

test('each method reports its ranks before the first step and after the last', async () => {
  const { events } = await loop({ train: rows(4), options: { num_train_epochs: 1 } });
  const ranks = eventsOf(events, 'ranks');
  assert.deepEqual(
    ranks.map(({ step }) => step),
    [0, 1],
  );
  assert.equal(ranks[0]!.sites.length, 14);
  assert.ok(ranks[0]!.sites.every(({ rank, scale, norm }) => rank === 4 && scale === 2 && norm === 0));
});

test('memory: two buffers of trainables, moments and, with accumulation, sums', async () => {
  const parts = async (gradient_accumulation_steps: number): Promise<(number | undefined)[]> => {
    const { events } = await loop({ train: rows(4), options: { max_steps: 1, gradient_accumulation_steps } });
    const [before, after] = eventsOf(events, 'memory');
    assert.deepEqual([before!.step, after!.step], [0, 1]);
    const { trainables, optimizer, gradients, state, changedWeights } = after!.parts;
    return [trainables, optimizer, gradients, state, changedWeights];
  };
  // r 4 on both layers of tiny-llama: A and B of q, k, v, o, gate, up, down.
  const elements = opened.model.sites
    .filter((site) => site.kind === 'linear' && !site.isOutput)
    .reduce((sum, { shape }) => sum + 4 * (shape[0]! + shape[1]!), 0);
  const both = 2 * 4 * elements;
  assert.deepEqual(await parts(1), [both, 2 * both, 0, 0, 0]);
  assert.deepEqual(await parts(2), [both, 2 * both, both, 0, 0]);
});

test('longest', () => {
  assert.equal(longest([example(3, 1), example(9, 1), example(5, 1)]), 9);
  assert.equal(longest([]), 1);
});
