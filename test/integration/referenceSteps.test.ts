import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { learningRate } from '../../src/training/schedule.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';

interface ReferenceSteps {
  base: string;
  max_grad_norm: number | null;
  optimizer: { lr: number; weight_decay: number };
  schedule: { type: string; warmup_steps?: number };
  steps: { loss: number; gradient_norm: number; learning_rate: number; supervised: number }[];
}

/** Runs the twenty steps that real HF PEFT ran, from the same A and B over the same batches. */
async function repeat(
  name: string,
  stepFactor = 1,
): Promise<{ lossError: number; distances: Map<string, number> }> {
  const folder = fixture('lora-reference', 'lora-steps', name);
  const reference = JSON.parse(await readFile(`${folder}/steps.json`, 'utf8')) as ReferenceSteps;
  const rows = JSON.parse(await readFile(fixture('lora-reference/lora-steps/batches.json'), 'utf8')) as {
    input_ids: number[];
    supervised: (0 | 1)[];
  }[][];
  const opened = await openModel(fixture('lora-reference', reference.base));
  const { method, values } = await attachAdapter(opened, `${folder}/initial`);
  const options: TrainingOptions = Value.Parse(TrainingOptions, {
    learning_rate: reference.optimizer.lr,
    weight_decay: reference.optimizer.weight_decay,
    max_grad_norm: reference.max_grad_norm ?? 0,
    lr_scheduler_type: reference.schedule.type,
    warmup_steps: reference.schedule.warmup_steps ?? 0,
  });
  const stepper = await createStepper({
    ...opened,
    methods: [method],
    start: startSnapshot(values),
    options,
    positionLimit: 64,
  });
  let lossError = 0;
  for (const [at, step] of reference.steps.entries()) {
    const rate = learningRate(options, at + 1, reference.steps.length);
    assert.ok(Math.abs(rate - step.learning_rate) <= 1e-12, `rate of step ${at + 1}`);
    const result = await stepper.step(
      [batchOf(rows[at]!)],
      { step: at + 1, totalSteps: reference.steps.length },
      rate * stepFactor,
      0,
    );
    lossError = Math.max(lossError, Math.abs(result.loss - step.loss) / step.loss);
    if (stepFactor === 1)
      assert.ok(Math.abs(result.gradientNorm - step.gradient_norm) / step.gradient_norm < 1e-3);
  }
  const saved = method.save(stepper.values());
  await stepper.dispose();
  assert.ok(saved.kind === 'adapter');
  const before = await readTensors(`${folder}/initial/adapter_model.safetensors`);
  const after = await readTensors(`${folder}/final/adapter_model.safetensors`);
  assert.deepEqual(saved.tensors.map((tensor) => tensor.name).sort(), [...after.keys()].sort());
  const change = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, at) => value - b[at]!);
  const distances = new Map(
    saved.tensors.map(({ name: key, data }): [string, number] => {
      const start = before.get(key)!.data;
      return [key, relativeDistance(change(data, start), change(after.get(key)!.data, start))];
    }),
  );
  return { lossError, distances };
}

function batchOf(rows: { input_ids: number[]; supervised: (0 | 1)[] }[]): Batch {
  const examples = rows.map((row): Example => ({
    ids: row.input_ids,
    supervised: row.supervised,
    file: 'batches.json',
    line: 1,
  }));
  return makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
}

for (const name of ['plain', 'clip-warmup', 'rslora', 'bias-all', 'modules-to-save']) {
  test(`twenty LoRA steps (${name}) are those of HF PEFT`, async () => {
    const { lossError, distances } = await repeat(name);
    assert.ok(lossError <= 1e-4, `relative error of a loss: ${lossError}`);
    for (const [key, distance] of distances) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
  });
}

test('the comparison notices a missing optimizer step', async () => {
  const { lossError, distances } = await repeat('plain', 0);
  assert.ok(lossError > 1e-2);
  assert.ok([...distances.values()].every((distance) => distance > 0.9));
});
