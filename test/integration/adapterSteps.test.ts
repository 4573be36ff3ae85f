import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Example } from '../../src/data/example.js';
import { AdapterFusionOptions, adapterFusion } from '../../src/methods/adapterFusion.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';

interface ReferenceSteps {
  supervised_from: number;
  max_grad_norm: number;
  optimizer: { lr: number; weight_decay: number };
  steps: { input_ids: number[][]; tasks?: number[]; loss: number; gradient_norm: number }[];
}

const BASES: Readonly<Record<string, string>> = {
  llama: fixture('lora-reference', 'tiny-llama'),
  gpt2: fixture('gpt2', 'tiny-gpt2'),
};

/** Takes a fixture's steps; losses and gradient norms have to be the library's. @returns what the trainables became */
async function repeat(
  reference: ReferenceSteps,
  opened: Opened,
  method: Attached,
  values: Values,
): Promise<ReadonlyMap<string, Float32Array>> {
  const options: TrainingOptions = Value.Parse(TrainingOptions, {
    learning_rate: reference.optimizer.lr,
    weight_decay: reference.optimizer.weight_decay,
    max_grad_norm: reference.max_grad_norm,
  });
  const start = startSnapshot(values);
  const stepper = await createStepper({ ...opened, methods: [method], start, options, positionLimit: 32 });
  for (const [at, step] of reference.steps.entries()) {
    const examples = step.input_ids.map((ids, row): Example => ({
      ids,
      supervised: ids.map((_, place) => (place >= reference.supervised_from ? 1 : 0)),
      ...(step.tasks === undefined ? {} : { task: step.tasks[row]! }),
      file: 'steps.json',
      line: 1,
    }));
    const batch = makeBatch(
      examples,
      examples.map((_, row) => [row]),
    );
    const place = { step: at + 1, totalSteps: reference.steps.length };
    const result = await stepper.step([batch], place, reference.optimizer.lr, 0);
    assert.ok(Math.abs(result.loss - step.loss) <= 1e-4 * step.loss, `loss of step ${at + 1}`);
    const error = Math.abs(result.gradientNorm - step.gradient_norm) / step.gradient_norm;
    assert.ok(error < 1e-3, `gradient norm of step ${at + 1}: ${error}`);
  }
  const after = new Map([...stepper.values()].map(([name, data]) => [name, data.slice()]));
  await stepper.dispose();
  return after;
}

async function readReference(folder: string): Promise<ReferenceSteps> {
  return JSON.parse(await readFile(`${folder}/steps.json`, 'utf8')) as ReferenceSteps;
}

function change(data: Float32Array, start: Float32Array): Float32Array {
  return data.map((value, at) => value - start[at]!);
}

for (const name of ['llama-pfeiffer', 'gpt2-houlsby', 'llama-parallel', 'llama-fusion']) {
  test(`twelve steps (${name}) are those of the adapters library`, async () => {
    const folder = fixture('adapters-library/steps', name);
    const opened = await openModel(BASES[name.split('-')[0]!]!);
    const { method, values } = await attachAdapter(opened, `${folder}/initial`);
    const saved = method.save(await repeat(await readReference(folder), opened, method, values));
    assert.ok(saved.kind === 'adapter');
    const trained = saved.parts?.find((part) => part.name === 'fusion') ?? { ...saved, folder: '' };
    const file =
      trained.folder === '' ? 'adapter.safetensors' : `${trained.folder}/model_adapter_fusion.safetensors`;
    const before = await readTensors(`${folder}/initial/${file}`);
    const after = await readTensors(`${folder}/final/${file}`);
    assert.deepEqual(trained.tensors.map((tensor) => tensor.name).sort(), [...after.keys()].sort());
    for (const { name: key, data } of trained.tensors) {
      const start = before.get(key)!.data;
      const distance = relativeDistance(change(data, start), change(after.get(key)!.data, start));
      // It adds the same to all scores of a token: its gradient is nothing but rounding, which AdamW makes large.
      const isRounding = key.endsWith('.key.bias');
      assert.ok(isRounding || distance <= 1e-2, `${key}: ${distance}`);
    }
  });
}

test("twelve steps of stage one with the base along (MT-A) are the library's, on batches of two tasks", async () => {
  const folder = fixture('adapters-library/steps/llama-joint');
  const opened = await openModel(BASES['llama']!);
  const tasks = ['task-a', 'task-b'];
  const config = Value.Parse(AdapterFusionOptions, {
    type: 'adapter_fusion',
    stage1: 'MT-A',
    reduction_factor: 8,
    non_linearity: 'relu',
  });
  const method = adapterFusion.attach(config, { ...opened.context, tasks });
  const initial = new Map<string, Float32Array>();
  for (const task of tasks) {
    const tensors = await readTensors(`${folder}/initial/${task}/adapter.safetensors`);
    for (const [name, { data }] of tensors) initial.set(name, data);
  }
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of method.trainables) {
    values.set(variable.name, initial.get(variable.name) ?? (await start()));
  }
  for (const name of initial.keys()) assert.ok(values.has(name), name);
  const trained = new Map([...values].filter(([name]) => !name.includes('.adapter_fusion_layer.')));
  const after = await repeat(await readReference(folder), opened, method, trained);
  for (const task of tasks) {
    for (const [name, { data }] of await readTensors(`${folder}/final/${task}/adapter.safetensors`)) {
      const start = initial.get(name)!;
      const distance = relativeDistance(change(after.get(name)!, start), change(data, start));
      assert.ok(distance <= 1e-2, `${name}: ${distance}`);
    }
  }
  const changes = await readTensors(`${folder}/base-changes.safetensors`);
  assert.equal(changes.size, 3);
  for (const [name, { data }] of changes) {
    const distance = relativeDistance(change(after.get(name)!, values.get(name)!), data);
    assert.ok(distance <= 1e-2, `${name}: ${distance}`);
  }
});
