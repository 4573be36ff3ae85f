// LoRA+ (Hayou et al. 2024): only learning rates differ.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBatch } from '../../../src/data/batches.js';
import type { Example } from '../../../src/data/example.js';
import { lora } from '../../../src/methods/lora.js';
import type { LoraOptions } from '../../../src/methods/lora.js';
import type { Values } from '../../../src/methods/method.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { trainingOptions } from '../training/jobs.js';
import { loraOptions } from './fakeModel.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const row: Example = { ids: [5, 9, 77, 31, 8, 64, 3], supervised: [0, 0, 1, 1, 1, 1, 1], file: 'rows', line: 1 };
const batch = makeBatch([row], [[0]]);
const RATE = 1e-2;

/** Values before and after steps at half of the peak rate, as a schedule may have it. */
async function trained(
  options: Partial<LoraOptions>,
  training: Parameters<typeof trainingOptions>[0],
  steps = 1,
): Promise<{ before: Values; after: Values }> {
  const method = lora.attach(loraOptions({ r: 3, ...options }), opened.context);
  const before = await startValues(method.trainables);
  const stepper = await createStepper({
    ...opened,
    methods: [method],
    start: startSnapshot(before),
    options: trainingOptions({ learning_rate: RATE, max_grad_norm: 0, weight_decay: 0, ...training }),
    positionLimit: 32,
  });
  for (let step = 1; step <= steps; step++) {
    await stepper.step([batch], { step, totalSteps: steps }, RATE / 2, 0);
  }
  const after = new Map([...stepper.values()].map(([name, data]) => [name, data.slice()]));
  await stepper.dispose();
  return { before, after };
}

const SGD = { optim: 'sgd', momentum: 0 } as const;

test('a step of SGD from B = 0 changes B ratio times as much as LoRA, and A not at all', async () => {
  const [plain, plus] = [await trained({}, SGD), await trained({ loraplus_lr_ratio: 16 }, SGD)];
  for (const [name, start] of plus.before) {
    const [by, byPlain] = [plus, plain].map(({ after }) =>
      after.get(name)!.map((value, at) => value - start[at]!),
    );
    if (name.endsWith('lora_A')) assert.ok(by!.every((value) => value === 0));
    else {
      const largest = largestDifference(byPlain!, new Float32Array(byPlain!.length));
      assert.ok(largest > 0);
      assert.ok(
        largestDifference(
          by!,
          byPlain!.map((value) => 16 * value),
        ) <=
          1e-5 * 16 * largest,
        name,
      );
    }
  }
});

test('with a ratio of 1 it is LoRA, bit for bit', async () => {
  for (const optim of ['adamw', 'adafactor'] as const) {
    const [plain, plus] = [await trained({}, { optim }, 3), await trained({ loraplus_lr_ratio: 1 }, { optim }, 3)];
    assert.deepEqual(plus.after, plain.after);
  }
});

test('AdamW and Adafactor: the first step of B is ratio times as long', async () => {
  for (const optim of ['adamw', 'adafactor'] as const) {
    const [plain, plus] = [await trained({}, { optim }), await trained({ loraplus_lr_ratio: 4 }, { optim })];
    const name = 'model.layers.1.self_attn.v_proj.lora_B';
    const expected = plain.after.get(name)!.map((value) => 4 * value);
    assert.ok(largestDifference(plus.after.get(name)!, expected) < 1e-6, optim);
    assert.ok(expected.some((value) => Math.abs(value) > 1e-4));
  }
});

test('embeddings have a rate of their own, which the schedule halves, too; vectors go with B', async () => {
  const options = { loraplus_lr_ratio: 4, target_modules: ['q_proj', 'embed_tokens'] };
  const change = async (more: Partial<LoraOptions>): Promise<Float32Array> =>
    (await trained({ ...options, ...more }, SGD)).after.get('model.embed_tokens.lora_embedding_A')!;
  const plain = (await trained({ target_modules: options.target_modules }, SGD)).after.get(
    'model.embed_tokens.lora_embedding_A',
  )!;
  const own = await change({ loraplus_lr_embedding: 5e-3 });
  assert.ok(plain.some((value) => value !== 0));
  assert.ok(
    largestDifference(
      own,
      plain.map((value) => value / 2),
    ) < 1e-8,
  );
  assert.ok(
    largestDifference(
      await change({}),
      plain.map((value) => value * 1e-4),
    ) < 1e-9,
  );

  const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
  const { trainables } = lora.attach(loraOptions({ ...options, bias: 'all' }), tied.context);
  const rates = new Map(trainables.map(({ variable: { name }, rate }) => [name, rate]));
  assert.deepEqual(rates.get('model.layers.0.self_attn.k_proj.bias'), { times: 4 });
  assert.deepEqual(rates.get('model.layers.0.self_attn.q_proj.lora_B'), { times: 4 });
  assert.equal(rates.get('model.layers.0.self_attn.q_proj.lora_A'), undefined);
});
