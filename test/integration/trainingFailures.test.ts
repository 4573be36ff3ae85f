// Runs that go wrong say at which step and in which tensor.
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { problem, temporaryFolder } from '../support/adapters.js';
import { fixture } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { openModel } from '../support/model.js';
import { UNEVEN, eventsOf, loraMethod, run } from '../unit/training/jobs.js';

const folder = temporaryFolder();
const SOURCE = fixture('lora-reference/tiny-llama');
const plain = await openModel(SOURCE);

/** A copy of tiny-llama with one number of one weight set. */
async function withNumber(tensor: string, value: number): Promise<Opened> {
  const target = path.join(folder, `${tensor}-${value}`);
  await mkdir(target);
  await copyFile(path.join(SOURCE, 'config.json'), path.join(target, 'config.json'));
  const bytes = await readFile(path.join(SOURCE, 'model.safetensors'));
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { data_offsets: number[] }
  >;
  bytes.writeFloatLE(value, 8 + headerLength + header[tensor]!.data_offsets[0]!);
  await writeFile(path.join(target, 'model.safetensors'), bytes);
  return openModel(target);
}

test('a base with a NaN stops at the first step and names the module', async () => {
  const opened = await withNumber('model.layers.1.mlp.up_proj.weight', NaN);
  await assert.rejects(
    run(opened),
    problem('training.non-finite', 'step 1: the result of model.layers.1.mlp.up_proj is not finite', 'loss NaN'),
  );
});

test('with validation data the evaluation before the first step says so', async () => {
  const opened = await withNumber('model.layers.0.input_layernorm.weight', NaN);
  await assert.rejects(
    run(opened, { validation: UNEVEN }),
    problem('training.non-finite', 'the evaluation after step 0', 'model.layers.0.input_layernorm', 'checkpoint'),
  );
});

test('a weight so large that a product overflows', async () => {
  const opened = await withNumber('model.layers.1.mlp.down_proj.weight', 3e38);
  await assert.rejects(
    run(opened, { method: loraMethod({ target_modules: ['q_proj'] }) }),
    problem(
      'training.non-finite',
      /step 1: the result of (model\.layers\.1\.mlp\.down_proj|model\.norm|lm_head) is/,
    ),
  );
});

test('an absurd learning rate: the step after the first is named', async () => {
  const options = { learning_rate: 1e20, max_grad_norm: 0, num_train_epochs: 20, per_device_train_batch_size: 4 };
  await assert.rejects(
    run(plain, { options }),
    problem('training.non-finite', /^step [2-9]\d*: the (result|loss|gradient)/, 'Lower learning_rate'),
  );
});

test('an update that overflows in the last step is noticed too', async () => {
  const options = { learning_rate: 1e38, max_steps: 1, max_grad_norm: 0 };
  await assert.rejects(
    run(plain, { options }),
    problem('training.non-finite', 'step 1: the update made the trainable', 'lora_'),
  );
});

test('a run that diverges only in the final evaluation is not called completed', async () => {
  const options = { learning_rate: 1e20, max_steps: 1, max_grad_norm: 0 };
  await assert.rejects(
    run(plain, { options, validation: UNEVEN }),
    problem('training.non-finite', 'the evaluation after step 1'),
  );
});

test('the numbers told before a failure are finite', async () => {
  const { events } = await run(plain, { options: { learning_rate: 1e-3, max_steps: 2 }, validation: UNEVEN });
  for (const { loss, gradientNorm } of eventsOf(events, 'step')) {
    assert.ok(Number.isFinite(loss) && Number.isFinite(gradientNorm));
  }
  assert.equal(eventsOf(events, 'evaluation').length, 2 + 1);
});
