import { readFile } from 'node:fs/promises';
import { Value } from '@sinclair/typebox/value';
import type { AttachedAdapter } from '../../src/adapters/attachAdapter.js';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Example } from '../../src/data/example.js';
import type { NamedTensor, Values } from '../../src/methods/method.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readJson, readTensors, relativeDistance } from './fixtures.js';
import type { Opened } from './model.js';

/** How far our steps are from those that real PEFT took. */
export interface StepErrors {
  /** Largest relative errors of a loss and of a gradient's norm. */
  readonly loss: number;
  readonly gradientNorm: number;
  /** By key: distance of the changes of a tensor over all steps, relative to PEFT's. */
  readonly changes: ReadonlyMap<string, number>;
}

interface Steps {
  learning_rate: number;
  weight_decay?: number;
  steps: { loss: number; gradient_norm: number }[];
}

/**
 * Takes the steps of a fixture (`steps.json`, made from the rows of a LoRA reference) with AdamW and compares with
 * the adapter in its folder `final`.
 *
 * @param values where the trainables start
 * @param factor of the learning rate: other than 1 to see that the comparison notices
 */
export async function repeatPeftSteps(
  opened: Opened,
  folder: string,
  { method }: Pick<AttachedAdapter, 'method'>,
  values: Values,
  factor = 1,
): Promise<StepErrors> {
  const reference = (await readJson(`${folder}/steps.json`)) as unknown as Steps;
  const read = opened.model.encoder === undefined ? readTexts : readPairs;
  const rows = (await read()).slice(0, reference.steps.length);
  const tensorsOf = (now: Values): readonly NamedTensor[] => {
    const saved = method.save(now);
    if (saved.kind !== 'adapter') throw new Error('the method saves no adapter');
    // The stepper's buffers go on to be used.
    return saved.tensors.map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
  };
  const before = new Map(tensorsOf(values).map((tensor) => [tensor.name, tensor.data]));
  const { learning_rate, weight_decay = 0 } = reference;
  const options = { learning_rate, weight_decay, max_grad_norm: 0 };
  const stepper = await createStepper({
    ...opened,
    methods: [method],
    start: startSnapshot(values),
    options: Value.Parse(TrainingOptions, options),
    positionLimit: 40,
  });
  let [loss, gradientNorm] = [0, 0];
  const relative = (a: number, b: number): number => Math.abs(a - b) / b;
  for (const [at, step] of reference.steps.entries()) {
    const batch = makeBatch(
      rows[at]!,
      rows[at]!.map((_, row) => [row]),
    );
    const place = { step: at + 1, totalSteps: reference.steps.length };
    const taken = await stepper.step([batch], place, learning_rate * factor, 0);
    loss = Math.max(loss, relative(taken.loss, step.loss));
    gradientNorm = Math.max(gradientNorm, relative(taken.gradientNorm, step.gradient_norm));
  }
  const after = tensorsOf(stepper.values());
  await stepper.dispose();
  const expected = await readTensors(`${folder}/final/adapter_model.safetensors`);
  const change = (now: Float32Array, then: Float32Array): Float32Array => now.map((each, at) => each - then[at]!);
  const changes = after.map(({ name, data }): [string, number] => {
    const start = before.get(name)!;
    return [name, relativeDistance(change(data, start), change(expected.get(name)!.data, start))];
  });
  return { loss, gradientNorm, changes: new Map(changes) };
}

const FILES = { texts: 'lora-reference/lora-steps/batches.json', pairs: 't5/lora-steps/batches.json' };

async function readTexts(): Promise<Example[][]> {
  const batches = JSON.parse(await readFile(fixture(FILES.texts), 'utf8')) as {
    input_ids: number[];
    supervised: (0 | 1)[];
  }[][];
  return batches.map((rows) =>
    rows.map(({ input_ids: ids, supervised }, at) => ({ ids, supervised, file: FILES.texts, line: at + 1 })),
  );
}

/** Rows of T5, whose decoder starts with token 0. */
async function readPairs(): Promise<Example[][]> {
  const batches = JSON.parse(await readFile(fixture(FILES.pairs), 'utf8')) as {
    source: number[];
    answer: number[];
  }[][];
  return batches.map((rows) =>
    rows.map(({ source, answer }, at): Example => ({
      ids: [0, ...answer],
      supervised: [0, ...answer.map(() => 1 as const)],
      source,
      file: FILES.pairs,
      line: at + 1,
    })),
  );
}
