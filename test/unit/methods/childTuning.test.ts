import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { attachMethods, prepareMethods } from '../../../src/engines/session.js';
import { ChildTuningOptions } from '../../../src/methods/childTuning.js';
import type { Attached, Prepared } from '../../../src/methods/method.js';
import { squaredGradients } from '../../../src/training/squaredGradients.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, jobOn, loraMethod, run } from '../training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const options = Value.Parse(ChildTuningOptions, { type: 'child_tuning', batch_size: 4 });
const CONFIGS = [loraMethod({ r: 4 }), options];

function prepare(): Promise<(Prepared | undefined)[]> {
  return prepareMethods(CONFIGS, opened.context, (before: readonly Attached[]) =>
    squaredGradients({
      ...jobOn(opened),
      methods: before,
      stopRequested: () => false,
      stopped: { code: 'stopped', message: 'stopped' },
    }),
  );
}

const hasMessage =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof ProblemError && pattern.test(error.problem.message);

test('over LoRA exactly round(p·N) numbers train; the others keep theirs, in spite of weight decay', async () => {
  const methods = attachMethods(CONFIGS, opened.context, await prepare());
  const [lora, child] = methods;
  const start = await startValues(lora!.trainables);
  const masks = new Map(
    Object.entries(child!.stepInputs!({ step: 1, totalSteps: 1 })).map(([name, { data }]) => [
      name.slice(name.indexOf('/') + 1),
      data as Uint8Array,
    ]),
  );
  const total = [...start.values()].reduce((sum, { length }) => sum + length, 0);
  const kept = [...masks.values()].flatMap((mask) => [...mask]).reduce((sum, bit) => sum + bit, 0);
  assert.equal(kept, Math.round(0.3 * total));
  assert.match(child!.coverage.warnings[0]!.message, /have no gradient at the start/);
  const density = child!.report!(new Map());
  assert.equal(density.length, lora!.trainables.length);
  assert.ok(density.every(({ path, density: share }) => /lora_B/.test(path) || share === 0));

  const { values } = await run(opened, {
    methods,
    options: {
      per_device_train_batch_size: 4,
      learning_rate: 1e-2,
      weight_decay: 0.1,
      max_steps: 4,
    },
  });
  let moved = 0;
  for (const [name, before] of start) {
    const after = values.get(name)!;
    masks.get(name)!.forEach((bit, at) => {
      if (bit === 0) assert.equal(after[at], before[at], `${name}[${at}]`);
      else if (after[at] !== before[at]) moved++;
    });
  }
  assert.equal(moved, kept);
});

test('listed alone, or without what was prepared, it says so', () => {
  assert.throws(() => attachMethods([options], opened.context), hasMessage(/trains nothing of its own/));
  assert.throws(() => attachMethods(CONFIGS, opened.context), hasMessage(/has no mask/));
});

test("squared gradients are the sum over rows of the squares of plain SGD's steps", async () => {
  const [lora] = attachMethods([loraMethod({ r: 4 })], opened.context);
  const variables = lora!.trainables.map(({ variable }) => variable).filter(({ name }) => name.includes('lora_B'));
  const rows = UNEVEN.slice(0, 2);
  const { squares: sums } = await squaredGradients({
    ...jobOn(opened),
    train: rows,
    methods: [lora!],
    stopRequested: () => false,
    stopped: { code: 'stopped', message: 'stopped' },
  })({ variables, batchSize: 1 });
  const rate = 1;
  const expected = new Map(variables.map(({ name }) => [name, new Float32Array(sums.get(name)!.length)]));
  for (const row of rows) {
    const { values } = await run(opened, {
      methods: [lora!],
      train: [row],
      options: {
        optim: 'sgd',
        lr_scheduler_type: 'constant',
        learning_rate: rate,
        max_grad_norm: 0,
        weight_decay: 0,
        max_steps: 1,
      },
    });
    // B starts at zero, so what it is after the step is the gradient.
    for (const [name, total] of expected)
      values.get(name)!.forEach((step, at) => (total[at]! += (step / rate) ** 2));
  }
  for (const [name, total] of expected) {
    const scale = Math.max(...total);
    assert.ok(scale > 0);
    total.forEach((value, at) =>
      assert.ok(Math.abs(value - sums.get(name)![at]!) <= 1e-4 * scale, `${name}[${at}]`),
    );
  }
});
