import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { attachMethod } from '../../../src/methods/registry.js';
import { LisaOptions } from '../../../src/methods/lisa.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import { longestRow } from '../../../src/training/job.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import type { Snapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { stepBatches } from '../../../src/training/steps.js';
import { temporaryFolder } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, jobOn, run } from '../training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const options = Value.Parse(LisaOptions, { type: 'lisa', lisa_activated_layers: 1, lisa_interval_steps: 2 });
const folder = temporaryFolder();
const TRAINING = { per_device_train_batch_size: 4, learning_rate: 1e-2, weight_decay: 0 };

/** Layers whose numbers differ between two moments; a missing number is the base's. */
function changedLayers(before: Snapshot['values'], after: Snapshot['values']): string[] {
  const changed = [...after].flatMap(([name, numbers]) => {
    const old = before.get(name);
    const same = old !== undefined && numbers.every((value, at) => value === old[at]);
    return same ? [] : [/layers\.(\d+)/.exec(name)?.[1] ?? 'outside'];
  });
  return [...new Set(changed)].sort();
}

test('exactly the drawn layers change, they keep their numbers when they rest, and lose their slots', async () => {
  const job = jobOn(opened, { method: options, options: { ...TRAINING, max_steps: 12 } });
  const [lisa] = job.methods;
  const base = await startValues(lisa!.trainables);
  const totalSteps = 12;
  let snapshot = startSnapshot();
  let before: Snapshot['values'] = base;
  const batches = stepBatches(job, 0);
  const drawn: string[] = [];
  for (let step = 1; step <= totalSteps; step += 2) {
    const verdict = lisa!.beforeStep!({ step, totalSteps });
    const active = new Set([...lisa!.active!()].map(({ name }) => name));
    const layers = [...new Set([...active].map((name) => /layers\.(\d+)/.exec(name)?.[1] ?? 'outside'))].sort();
    drawn.push(layers[0]!);
    assert.equal(layers.length, 2);
    assert.equal(verdict === 'rebuild', step > 1);
    const stepper = await createStepper({ ...job, start: snapshot, positionLimit: longestRow(job) });
    for (const at of [step, step + 1]) {
      const { loss } = await stepper.step(batches.next().value.micro, { step: at, totalSteps }, 1e-2, at);
      assert.ok(Number.isFinite(loss));
    }
    const now = stepper.snapshot();
    snapshot = {
      values: new Map([...now.values].map(([name, data]) => [name, data.slice()])),
      slots: new Map([...now.slots].map(([name, data]) => [name, data.slice()])),
      state: new Map(),
    };
    await stepper.dispose();
    const held = new Map([...base, ...before]);
    assert.deepEqual(changedLayers(held, snapshot.values), layers);
    assert.ok([...snapshot.slots.keys()].every((slot) => active.has(slot.slice(0, slot.lastIndexOf('/')))));
    before = new Map([...before, ...snapshot.values]);
  }
  assert.ok(new Set(drawn).size > 1, `other layers are drawn: ${drawn.join()}`);
  // Resting layers count: the model with all numbers is the one that the evaluator sees.
  const loss = async (methods = job.methods, values = snapshot.values): Promise<number> => {
    const evaluator = await createEvaluator({ ...opened, methods, positionLimit: 64, batchSize: 8 });
    const found = await evaluator.evaluate(UNEVEN, values);
    await evaluator.dispose();
    return found.loss;
  };
  const whole = attachMethod({ type: 'full' }, opened.context);
  assert.ok(Math.abs((await loss()) - (await loss([whole], new Map([...base, ...before])))) <= 1e-5);
});

test('the loop draws, reports each draw, and a draw depends on the step alone', async () => {
  const { events, reason } = await run(opened, { method: options, options: { ...TRAINING, max_steps: 7 } });
  assert.equal(reason, 'completed');
  const masks = eventsOf(events, 'masks');
  assert.deepEqual(
    masks.map(({ step }) => step).filter((step) => step % 2 === 1),
    [1, 3, 5, 7],
  );
  const [first, second] = [0, 1].map(() => jobOn(opened, { method: options }).methods[0]!);
  for (let step = 1; step <= 9; step++) first!.beforeStep!({ step, totalSteps: 20 });
  second!.beforeStep!({ step: 9, totalSteps: 20 });
  const names = (method: typeof first): string[] => [...method!.active!()].map(({ name }) => name);
  assert.deepEqual(names(first), names(second));
});

test('more layers than there are', () => {
  assert.throws(
    () => attachMethod({ ...options, lisa_activated_layers: 9 }, opened.context),
    (error) => error instanceof ProblemError && error.problem.code === 'targets.layers',
  );
});

test('a layer that is drawn late starts as a new optimizer would', async () => {
  const job = jobOn(opened, { method: options, options: { ...TRAINING, max_steps: 12 } });
  const [lisa] = job.methods;
  const { micro } = stepBatches(job, 0).next().value;
  const moved = async (step: number): Promise<Map<string, Float32Array>> => {
    lisa!.beforeStep!({ step, totalSteps: 12 });
    const base = await startValues(lisa!.trainables);
    const stepper = await createStepper({ ...job, start: startSnapshot(base), positionLimit: longestRow(job) });
    await stepper.step(micro, { step, totalSteps: 12 }, 1e-2, 7);
    const active = new Set([...lisa!.active!()].map(({ name }) => name));
    const changes = [...stepper.values()]
      .filter(([name]) => active.has(name) && /layers/.test(name))
      .map(([name, data]): [string, Float32Array] => [
        name,
        data.map((value, at) => value - base.get(name)![at]!),
      ]);
    await stepper.dispose();
    return new Map(changes);
  };
  const first = await moved(1);
  // The last period in which the layers of the first are drawn anew, after a pause.
  const again = [11, 9, 7, 5].find((step) => {
    lisa!.beforeStep!({ step, totalSteps: 12 });
    const [name] = first.keys();
    const variable = [...lisa!.active!()].find((each) => each.name === name);
    return variable !== undefined && lisa!.startedAfter!(variable) === step - 1;
  });
  assert.ok(again !== undefined, 'the draws of this seed have such a period');
  const late = await moved(again);
  for (const [name, change] of first) {
    assert.ok(
      change.some((value) => Math.abs(value) > 5e-3),
      'Adam moves about the learning rate at first',
    );
    change.forEach((value, at) => assert.ok(Math.abs(value - late.get(name)![at]!) <= 1e-6, name));
  }
});

test('a run that is resumed before a draw, at one or within a period goes on bit for bit', async () => {
  const runFolder = path.join(folder, 'whole');
  // Seed 11 draws 1, 0, 1, 1, 0.
  const parts = {
    method: options,
    options: { ...TRAINING, seed: 11, max_steps: 10, save_steps: 1, save_total_limit: 10 },
  };
  const whole = await run(opened, { ...parts, checkpoints: { runFolder } });
  const layersOf = (snapshot: Snapshot): string[] => [
    ...new Set([...snapshot.slots.keys()].map((name) => /layers\.(\d+)/.exec(name)?.[1] ?? 'outside')),
  ];
  for (const [step, layer] of [
    [1, '1'],
    [2, '1'],
    [3, '0'],
    [4, '0'],
    [6, '1'],
    [8, '1'],
  ] as const) {
    const from = await readCheckpoint(checkpointFolder(runFolder, step));
    assert.deepEqual(layersOf(from.snapshot).sort(), [layer, 'outside'], `slots of what trains at step ${step}`);
    const again = await run(opened, {
      ...parts,
      checkpoints: { runFolder: path.join(folder, `from-${step}`), from },
    });
    assert.deepEqual(
      eventsOf(again.events, 'step').map(({ loss }) => loss),
      eventsOf(whole.events, 'step')
        .slice(step)
        .map(({ loss }) => loss),
    );
    assert.deepEqual([...again.values.keys()].sort(), [...whole.values.keys()].sort());
    for (const [name, numbers] of whole.values) assert.deepEqual(again.values.get(name), numbers, name);
  }
});

test('each layer is as likely as any other to be drawn, and none twice at a time', () => {
  const [lisa] = jobOn(opened, { method: { ...options, lisa_interval_steps: 1 } }).methods;
  const drawn = [0, 0];
  const [steps, totalSteps] = [600, 600];
  for (let step = 1; step <= steps; step++) {
    lisa!.beforeStep!({ step, totalSteps });
    const layers = new Set([...lisa!.active!()].flatMap(({ name }) => /layers\.(\d+)/.exec(name)?.[1] ?? []));
    assert.equal(layers.size, 1);
    drawn[Number([...layers][0])]!++;
  }
  // Five standard deviations of a fair coin.
  assert.ok(Math.abs(drawn[0]! - steps / 2) < 5 * Math.sqrt(steps / 4), drawn.join());
});
