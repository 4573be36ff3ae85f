import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Example } from '../../src/data/example.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';

interface ReferenceSteps {
  supervised_from: number;
  max_grad_norm: number;
  optimizer: { lr: number; weight_decay: number };
  steps: { input_ids: number[][]; loss: number; gradient_norm: number }[];
}

const BASES: Readonly<Record<string, string>> = {
  llama: fixture('lora-reference', 'tiny-llama'),
  gpt2: fixture('gpt2', 'tiny-gpt2'),
};

for (const name of ['llama-pfeiffer', 'gpt2-houlsby', 'llama-parallel', 'llama-fusion']) {
  test(`twelve steps (${name}) are those of the adapters library`, async () => {
    const folder = fixture('adapters-library/steps', name);
    const reference = JSON.parse(await readFile(`${folder}/steps.json`, 'utf8')) as ReferenceSteps;
    const opened = await openModel(BASES[name.split('-')[0]!]!);
    const { method, values } = await attachAdapter(opened, `${folder}/initial`);
    const options: TrainingOptions = Value.Parse(TrainingOptions, {
      learning_rate: reference.optimizer.lr,
      weight_decay: reference.optimizer.weight_decay,
      max_grad_norm: reference.max_grad_norm,
    });
    const start = startSnapshot(values);
    const stepper = await createStepper({ ...opened, methods: [method], start, options, positionLimit: 32 });
    for (const [at, step] of reference.steps.entries()) {
      const examples = step.input_ids.map((ids): Example => ({
        ids,
        supervised: ids.map((_, place) => (place >= reference.supervised_from ? 1 : 0)),
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
    const saved = method.save(stepper.values());
    await stepper.dispose();
    assert.ok(saved.kind === 'adapter');
    const trained = saved.parts?.find((part) => part.name === 'fusion') ?? { ...saved, folder: '' };
    const file =
      trained.folder === '' ? 'adapter.safetensors' : `${trained.folder}/model_adapter_fusion.safetensors`;
    const before = await readTensors(`${folder}/initial/${file}`);
    const after = await readTensors(`${folder}/final/${file}`);
    assert.deepEqual(trained.tensors.map((tensor) => tensor.name).sort(), [...after.keys()].sort());
    for (const { name: key, data } of trained.tensors) {
      const change = (values: Float32Array): Float32Array =>
        values.map((value, i) => value - before.get(key)!.data[i]!);
      const distance = relativeDistance(change(data), change(after.get(key)!.data));
      // It adds the same to all scores of a token: its gradient is nothing but rounding, which AdamW makes large.
      const isRounding = key.endsWith('.key.bias');
      assert.ok(isRounding || distance <= 1e-2, `${key}: ${distance}`);
    }
  });
}
