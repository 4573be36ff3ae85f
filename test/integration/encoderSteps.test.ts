import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { adapterTask } from '../../src/adapters/adapterTask.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { TrainingOptions } from '../../src/config/schema.js';
import type { JsonObject } from '../../src/common/json.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, largestDifference, readInputIds, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';

interface ReferenceSteps {
  base: string;
  optimizer: { lr: number; weight_decay: number };
  steps: { loss: number; gradient_norm: number }[];
}

interface Row {
  input_ids: number[];
  /** Its class. */
  label?: number;
  /** What is to be guessed at each place; -100: nothing. */
  labels?: number[];
}

const CLASSIFIERS = ['bare', 'all-linear', 'masked', 'roberta'];

async function reference(
  place: string,
  name: string,
): Promise<{ folder: string; found: ReferenceSteps; batches: Batch[] }> {
  const folder = fixture('encoders', place, name);
  const rows = JSON.parse(await readFile(fixture('encoders', place, 'batches.json'), 'utf8')) as Row[][];
  return {
    folder,
    found: JSON.parse(await readFile(`${folder}/steps.json`, 'utf8')) as ReferenceSteps,
    batches: rows.map(batchOf),
  };
}

function batchOf(rows: readonly Row[]): Batch {
  const examples = rows.map((row): Example => ({
    ids: row.input_ids,
    supervised: row.input_ids.map(() => 0),
    ...(row.label === undefined ? {} : { label: row.label }),
    file: 'batches.json',
    line: 1,
  }));
  const batch = makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
  const guessed = rows.flatMap(({ labels = [] }, row) =>
    labels.flatMap((target, at) => (target < 0 ? [] : [{ place: row * batch.length + at, target }])),
  );
  if (guessed.length === 0) return batch;
  return {
    ...batch,
    predictors: Int32Array.from(guessed, ({ place }) => place),
    targets: Int32Array.from(guessed, ({ target }) => target),
  };
}

/** Repeats the steps of a fixture, compares losses, norms and what became of the adapter; returns the config of what is saved. */
async function repeatSteps(place: string, name: string): Promise<JsonObject> {
  const { folder, found, batches } = await reference(place, name);
  const initial = await readAdapter(`${folder}/initial`);
  const opened = await openModel(fixture('encoders', found.base), adapterTask(initial));
  const { method, values } = await attachAdapter(opened, `${folder}/initial`);
  const options: TrainingOptions = Value.Parse(TrainingOptions, {
    learning_rate: found.optimizer.lr,
    weight_decay: found.optimizer.weight_decay,
    max_grad_norm: 0,
  });
  const stepper = await createStepper({
    ...opened,
    methods: [method],
    start: startSnapshot(values),
    options,
    positionLimit: 40,
  });
  for (const [at, step] of found.steps.entries()) {
    const now = { step: at + 1, totalSteps: found.steps.length };
    const result = await stepper.step([batches[at]!], now, found.optimizer.lr, 0);
    assert.ok(Math.abs(result.loss - step.loss) / step.loss <= 1e-4, `loss of step ${at + 1}`);
    assert.ok(Math.abs(result.gradientNorm - step.gradient_norm) / step.gradient_norm <= 1e-3);
  }
  const saved = method.save(stepper.values());
  await stepper.dispose();
  assert.ok(saved.kind === 'adapter');
  const before = await readTensors(`${folder}/initial/adapter_model.safetensors`);
  const after = await readTensors(`${folder}/final/adapter_model.safetensors`);
  assert.deepEqual(saved.tensors.map((tensor) => tensor.name).sort(), [...after.keys()].sort());
  const change = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, at) => value - b[at]!);
  for (const { name: key, data } of saved.tensors) {
    const start = before.get(key)!.data;
    const distance = relativeDistance(change(data, start), change(after.get(key)!.data, start));
    assert.ok(distance <= 1e-2, `${key}: ${distance}`);
  }
  return saved.config;
}

for (const name of ['bert', 'roberta']) {
  test(`ten LoRA steps on masked tokens (${name}) are those of HF PEFT`, async () => {
    assert.equal((await repeatSteps('masked-steps', name))['task_type'], null);
  });
}

for (const name of CLASSIFIERS) {
  test(`twenty LoRA steps of a classifier (${name}) are those of HF PEFT`, async () => {
    const config = await repeatSteps('lora-steps', name);
    assert.equal(config['task_type'], 'SEQ_CLS');
    const listed = config['modules_to_save'];
    assert.deepEqual(
      Array.isArray(listed) ? [...listed].sort() : listed,
      name === 'masked' ? ['classifier', 'pooler', 'score'] : ['classifier', 'score'],
    );
  });

  test(`the classifier that PEFT trained (${name}) gives PEFT's logits`, async () => {
    const { folder, found } = await reference('lora-steps', name);
    const final = await readAdapter(`${folder}/final`);
    const opened = await openModel(fixture('encoders', found.base), adapterTask(final));
    const adapter = await attachAdapter(opened, `${folder}/final`);
    assert.deepEqual(adapter.warnings, []);
    const file = `${folder}/logits.safetensors`;
    const expected = (await readTensors(file)).get('logits')!.data;
    const difference = largestDifference(await logitsOf(opened, await readInputIds(file), adapter), expected);
    assert.ok(difference <= 1e-4, String(difference));
  });
}
