import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { attachMethods, prepareMethods } from '../../../src/engines/session.js';
import { ChildTuningOptions } from '../../../src/methods/childTuning.js';
import { markLargest } from '../../../src/methods/largest.js';
import type { Attached, Prepared } from '../../../src/methods/method.js';
import { squaredGradients } from '../../../src/training/squaredGradients.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { jobOn, loraMethod, run } from '../training/jobs.js';

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

test('the largest numbers over all parts are marked, the first of equal ones', () => {
  const parts = [Float32Array.of(1, 3, 2), Float32Array.of(2, 0, 2)];
  assert.deepEqual(markLargest(parts, 3), [Uint8Array.of(0, 1, 1), Uint8Array.of(1, 0, 0)]);
  assert.deepEqual(markLargest(parts, 0), [Uint8Array.of(0, 0, 0), Uint8Array.of(0, 0, 0)]);
  assert.deepEqual(markLargest(parts, 6), [Uint8Array.of(1, 1, 1), Uint8Array.of(1, 1, 1)]);
});

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
