// ReLoRA and COLA over whole runs, against PyTorch (test/fixtures/restarts).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import type { Example } from '../../src/data/example.js';
import { ColaOptions } from '../../src/methods/cola.js';
import { ReLoraOptions } from '../../src/methods/relora.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { eventsOf, run } from '../unit/training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const TARGETS = ['q_proj', 'v_proj', 'down_proj'];

interface Reference {
  rows: number;
  runs: Record<string, { options: Record<string, number | string | boolean>; losses: number[]; rates: number[] }>;
}

const reference = JSON.parse(readFileSync(fixture('restarts', 'steps.json'), 'utf8')) as Reference;
const batches = JSON.parse(readFileSync(fixture('lora-reference', 'lora-steps/batches.json'), 'utf8')) as {
  input_ids: number[];
  supervised: (0 | 1)[];
}[][];
const rows = batches
  .flat()
  .slice(0, reference.rows)
  .map((row, at): Example => ({
    ids: row.input_ids,
    supervised: row.supervised,
    file: 'rows.jsonl',
    line: at + 1,
  }));

for (const [name, { options, losses, rates }] of Object.entries(reference.runs)) {
  test(`a run over its cycles is PyTorch's: ${name}`, async () => {
    const { steps, lr, weight_decay, warmup, min_lr_rate, ...own } = options;
    const ran = await run(opened, {
      method: Value.Parse(own['type'] === 'cola' ? ColaOptions : ReLoraOptions, {
        lora_dropout: 0,
        target_modules: TARGETS,
        ...own,
      }),
      train: rows,
      options: {
        learning_rate: Number(lr),
        weight_decay: Number(weight_decay),
        warmup_steps: Number(warmup),
        max_grad_norm: 1,
        max_steps: Number(steps),
        per_device_train_batch_size: reference.rows,
        ...(own['type'] === 'cola'
          ? { lr_scheduler_type: 'linear' }
          : {
              lr_scheduler_type: 'cosine_with_min_lr',
              lr_scheduler_kwargs: { min_lr_rate: Number(min_lr_rate) },
            }),
        logging_steps: 1,
      },
    });
    const told = eventsOf(ran.events, 'step');
    assert.equal(told.length, losses.length);
    told.forEach(({ loss, learningRate }, at) => {
      assert.ok(Math.abs(loss - losses[at]!) < 1e-4 * losses[at]!, `loss of step ${at + 1}: ${loss}`);
      assert.ok(Math.abs(learningRate - rates[at]!) < 1e-12, `rate of step ${at + 1}: ${learningRate}`);
    });
    const updates = await readTensors(fixture('restarts', 'updates.safetensors'));
    const [method] = ran.methods;
    for (const site of opened.model.sites) {
      const wanted = updates.get(`${name}/${site.path}`);
      if (wanted === undefined) continue;
      const zeros = new Float32Array(site.shape[0]! * site.shape[1]!);
      const found = method!.merge!(site, 'weight', zeros, ran.values)!;
      const distance = relativeDistance(found, wanted.data);
      assert.ok(distance < 5e-3, `${site.path}: ${distance}`);
    }
  });
}
