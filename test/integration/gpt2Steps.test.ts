import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';

interface Row {
  input_ids: number[];
  supervised: (0 | 1)[];
}

interface ReferenceSteps {
  base: string;
  lr: number;
  weight_decay: number;
  steps: { loss: number; gradient_norm: number }[];
}

async function readJson<T>(...parts: string[]): Promise<T> {
  return JSON.parse(await readFile(fixture('gpt2', ...parts), 'utf8')) as T;
}

function batchOf(rows: readonly Row[]): Batch {
  const examples = rows.map((row): Example => {
    return { ids: row.input_ids, supervised: row.supervised, file: 'batches.json', line: 1 };
  });
  return makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
}

/**
 * A key's bias adds the same to all scores of a query, so its gradient is zero: AdamW makes steps of rounding errors.
 * Keys are the second of c_attn's three parts.
 */
function isKeyBias(key: string, index: number): boolean {
  return key.endsWith('c_attn.base_layer.bias') && index >= HIDDEN && index < 2 * HIDDEN;
}
const HIDDEN = 24;

/** c_attn alone, from B zero; every Conv1D with biases and the last norm, without the prefix; a whole Conv1D, positions. */
for (const name of ['c-attn', 'all', 'whole']) {
  test(`eight LoRA steps on GPT-2 (${name}) are those of HF PEFT`, async () => {
    const folder = fixture('gpt2/lora-steps', name);
    const reference = await readJson<ReferenceSteps>('lora-steps', name, 'steps.json');
    const batches = await readJson<Row[][]>('lora-steps', 'batches.json');
    const opened = await openModel(fixture('gpt2', reference.base));
    const { method, values } = await attachAdapter(opened, `${folder}/initial`);
    const options: TrainingOptions = Value.Parse(TrainingOptions, {
      learning_rate: reference.lr,
      weight_decay: reference.weight_decay,
      max_grad_norm: 0,
      lr_scheduler_type: 'constant',
    });
    const stepper = await createStepper({
      ...opened,
      methods: [method],
      start: startSnapshot(values),
      options,
      positionLimit: opened.model.maxPositions,
    });
    for (const [at, step] of reference.steps.entries()) {
      const result = await stepper.step(
        [batchOf(batches[at]!)],
        { step: at + 1, totalSteps: reference.steps.length },
        reference.lr,
        0,
      );
      const error = Math.abs(result.loss - step.loss) / step.loss;
      assert.ok(error <= 1e-4, `loss of step ${at + 1}: ${error}`);
      assert.ok(Math.abs(result.gradientNorm - step.gradient_norm) / step.gradient_norm < 1e-3);
    }
    const saved = method.save(stepper.values());
    await stepper.dispose();
    assert.ok(saved.kind === 'adapter');
    const before = await readTensors(`${folder}/initial/adapter_model.safetensors`);
    const after = await readTensors(`${folder}/final/adapter_model.safetensors`);
    assert.deepEqual(saved.tensors.map((tensor) => tensor.name).sort(), [...after.keys()].sort());
    for (const { name: key, data, shape } of saved.tensors) {
      const start = before.get(key)!.data;
      const expected = after.get(key)!;
      assert.deepEqual(shape, expected.shape, key);
      const change = (to: Float32Array): Float32Array =>
        to.map((value, index) => value - start[index]!).filter((_, index) => !isKeyBias(key, index));
      const distance = relativeDistance(change(data), change(expected.data));
      assert.ok(distance <= 1e-2, `${key}: ${distance}`);
    }
  });
}
