import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { attachMethod } from '../../src/methods/registry.js';
import { trainedFeeds } from '../../src/methods/trainedFeeds.js';
import { FullOptions } from '../../src/methods/full.js';
import { gradients } from '../../src/tensor/grad.js';
import { batchFeeds, lossGraph } from '../../src/training/lossGraph.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';

interface Row {
  source: number[];
  answer: number[];
}

interface ReferenceSteps {
  base: string;
  lr: number;
  weight_decay: number;
  steps: { loss: number; gradient_norm: number }[];
}

async function readJson<T>(...parts: string[]): Promise<T> {
  return JSON.parse(await readFile(fixture('t5', ...parts), 'utf8')) as T;
}

const START = 0;

function exampleOf({ source, answer }: Row): Example {
  const ids = [START, ...answer];
  return { ids, supervised: ids.map((_, at) => (at === 0 ? 0 : 1)), source, file: 'batches.json', line: 1 };
}

function batchOf(rows: readonly Row[]): Batch {
  return makeBatch(
    rows.map(exampleOf),
    rows.map((_, at) => [at]),
  );
}

/** q and v from B zero, as PEFT's choice for T5; every linear but the head, from random B, with a gated feed-forward. */
for (const name of ['q-v', 'all']) {
  test(`LoRA steps on T5 (${name}) are those of HF PEFT`, async () => {
    const folder = fixture('t5/lora-steps', name);
    const reference = await readJson<ReferenceSteps>('lora-steps', name, 'steps.json');
    const batches = await readJson<Row[][]>('lora-steps', 'batches.json');
    const opened = await openModel(fixture('t5', reference.base));
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
      positionLimit: 64,
    });
    const before = await readTensors(`${folder}/initial/adapter_model.safetensors`);
    const compare = async (to: string): Promise<void> => {
      const after = await readTensors(`${folder}/${to}/adapter_model.safetensors`);
      const saved = method.save(stepper.values());
      assert.ok(saved.kind === 'adapter');
      assert.deepEqual(saved.tensors.map((tensor) => tensor.name).sort(), [...after.keys()].sort());
      for (const { name: key, data } of saved.tensors) {
        const start = before.get(key)!.data;
        const change = (end: Float32Array): Float32Array => end.map((value, index) => value - start[index]!);
        const expected = change(after.get(key)!.data);
        // From B zero, A has no gradient at first.
        if (expected.every((value) => Math.abs(value) < 1e-7)) continue;
        const distance = relativeDistance(change(data), expected);
        assert.ok(distance <= 1e-2, `${to}, ${key}: ${distance}`);
      }
    };
    for (const [at, step] of reference.steps.entries()) {
      const place = { step: at + 1, totalSteps: reference.steps.length };
      const result = await stepper.step([batchOf(batches[at]!)], place, reference.lr, 0);
      const error = Math.abs(result.loss - step.loss) / step.loss;
      assert.ok(error <= 1e-4, `loss of step ${at + 1}: ${error}`);
      assert.ok(Math.abs(result.gradientNorm - step.gradient_norm) / step.gradient_norm < 1e-3);
      if (at === 0 && name === 'q-v') await compare('after-one');
    }
    await compare('final');
    await stepper.dispose();
  });
}

/** Every weight of tiny-t5 differentiated. */
async function differentiated(positionLimit: number) {
  const opened = await openModel(fixture('t5/tiny-t5'));
  const method = attachMethod(Value.Parse(FullOptions, { type: 'full' }), opened.context);
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of method.trainables) values.set(variable.name, await start());
  const { lossSum } = lossGraph(opened.model, [method.hooks], { training: false, positionLimit });
  const variables = method.trainables.map(({ variable }) => variable);
  const found = gradients(lossSum, variables);
  const program = await opened.runtime.compile(
    { loss: lossSum, ...Object.fromEntries(variables.map(({ name }, at) => [`gradient ${name}`, found[at]!])) },
    opened.weights,
  );
  return async (batch: Batch) => {
    const results = await program.run({ ...batchFeeds(batch), ...trainedFeeds([method], values, program.reads) });
    return {
      loss: Number(results['loss']!.data[0]),
      gradients: new Map(
        variables.map(({ name }) => [name, results[`gradient ${name}`]!.data as Float32Array] as const),
      ),
    };
  };
}

test("gradients by the base's own weights are those of torch, the biases by distance among them", async () => {
  const [batch] = await readJson<Row[][]>('lora-steps', 'batches.json');
  const expected = await readTensors(fixture('t5/gradients.safetensors'));
  assert.equal(expected.size, 7);
  const made = batchOf(batch!);
  // Attention weights are kept for the backward pass of short rows, and computed again for that of long ones.
  for (const positionLimit of [64, 256]) {
    const { gradients: found } = await (await differentiated(positionLimit))(made);
    for (const [name, { data }] of expected) {
      const mean = found.get(name)!.map((each) => each / made.targets.length);
      const distance = relativeDistance(mean, data);
      assert.ok(distance < 1e-4, `${name}: ${distance}`);
    }
  }
});

test('rows packed into one give the loss and the gradients of rows apart', async () => {
  const run = await differentiated(256);
  const examples = (await readJson<Row[][]>('lora-steps', 'batches.json')).flat().slice(0, 6).map(exampleOf);
  const plan = examples.map((_, at) => [at]);
  const [apart, packed] = [
    await run(makeBatch(examples, plan)),
    await run(makeBatch(examples, [[4, 0, 2], [5], [1, 3]])),
  ];
  assert.ok(Math.abs(apart.loss - packed.loss) / apart.loss < 1e-6, `${apart.loss}, ${packed.loss}`);
  for (const [name, gradient] of apart.gradients) {
    const distance = relativeDistance(packed.gradients.get(name)!, gradient);
    assert.ok(distance < 1e-4, `${name}: ${distance}`);
  }
});
