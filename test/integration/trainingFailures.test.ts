// Runs that go wrong say at which step and in which tensor.
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { ProblemError } from '../../src/common/problem.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { fixture } from '../support/fixtures.js';
import type { Program, Runtime } from '../../src/runtime/runtime.js';
import type { Opened } from '../support/model.js';
import { openModel } from '../support/model.js';
import type { JobParts } from '../unit/training/jobs.js';
import { UNEVEN, eventsOf, loraMethod, run } from '../unit/training/jobs.js';

const folder = temporaryFolder();
const SOURCE = fixture('lora-reference/tiny-llama');
const plain = await openModel(SOURCE);

/** Asserts that a job fails with the problem; gives back what it left. */
async function failed(
  opened: Opened,
  parts: JobParts,
  ...expected: Parameters<typeof problem>
): Promise<Awaited<ReturnType<typeof run>>> {
  const result = await run(opened, parts);
  assert.ok(result.reason === 'failed');
  assert.ok(problem(...expected)(new ProblemError(result.problem)));
  return result;
}

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
  await failed(
    opened,
    {},
    'training.non-finite',
    'step 1: the result of model.layers.1.mlp.up_proj is not finite',
    'loss NaN',
  );
});

test('with validation data the evaluation before the first step says so', async () => {
  const opened = await withNumber('model.layers.0.input_layernorm.weight', NaN);
  await failed(
    opened,
    { validation: UNEVEN },
    'training.non-finite',
    'the evaluation after step 0',
    'model.layers.0.input_layernorm',
    'checkpoint',
  );
});

test('a weight so large that a product overflows', async () => {
  const opened = await withNumber('model.layers.1.mlp.down_proj.weight', 3e38);
  await failed(
    opened,
    { method: loraMethod({ target_modules: ['q_proj'] }) },
    'training.non-finite',
    /step 1: the result of (model\.layers\.1\.mlp\.down_proj|model\.norm|lm_head) is/,
  );
});

test('an absurd learning rate: the step after the first is named', async () => {
  const options = { learning_rate: 1e20, max_grad_norm: 0, num_train_epochs: 20, per_device_train_batch_size: 4 };
  await failed(
    plain,
    { options },
    'training.non-finite',
    /^step [2-9]\d*: the (result|loss|gradient)/,
    'Lower learning_rate',
  );
});

test('an update that overflows in the last step is noticed too', async () => {
  const options = { learning_rate: 1e38, max_steps: 1, max_grad_norm: 0 };
  await failed(plain, { options }, 'training.non-finite', 'step 1: the update made the trainable', 'lora_');
});

test('a run that diverges only in the final evaluation is not called completed', async () => {
  const options = { learning_rate: 1e20, max_steps: 1, max_grad_norm: 0 };
  await failed(plain, { options, validation: UNEVEN }, 'training.non-finite', 'the evaluation after step 1');
});

test('the numbers told before a failure are finite', async () => {
  const { events } = await run(plain, { options: { learning_rate: 1e-3, max_steps: 2 }, validation: UNEVEN });
  for (const { loss, gradientNorm } of eventsOf(events, 'step')) {
    assert.ok(Number.isFinite(loss) && Number.isFinite(gradientNorm));
  }
  assert.equal(eventsOf(events, 'evaluation').length, 2 + 1);
});

test('what was learned before the failing step is kept', async () => {
  const options = { learning_rate: 1e-3, max_steps: 6, per_device_train_batch_size: 4 };
  const good = await run(plain, { options: { ...options, lr_scheduler_type: 'constant', max_steps: 2 } });
  let calls = 0;
  // The third step's gradient is not finite: a runtime that lies once.
  const lies = (program: Program): Program => ({
    ...program,
    async run(feeds, into) {
      const results = await program.run(feeds, into);
      if (results['gradient_norm'] === undefined || ++calls < 3) return results;
      return { ...results, gradient_norm: { ...results['gradient_norm'], data: Float32Array.of(NaN) } };
    },
  });
  const lying: Runtime = {
    ...plain.runtime,
    compile: async (outputs, weights) => lies(await plain.runtime.compile(outputs, weights)),
    compileTogether: async (programs, weights) =>
      (await plain.runtime.compileTogether(programs, weights)).map(lies),
  };
  const parts = { options: { ...options, lr_scheduler_type: 'constant' as const }, runtime: lying };
  const result = await failed(plain, parts, 'training.non-finite', 'step 3');
  assert.equal(result.steps, 2);
  for (const [name, numbers] of good.values) assert.deepEqual(result.values.get(name), numbers);
});
