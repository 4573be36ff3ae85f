// Child-Tuning over full weights against PyTorch: test/fixtures/child-tuning says how its numbers were made.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { attachMethods, prepareMethods } from '../../src/engines/session.js';
import type { Attached, Prepared } from '../../src/methods/method.js';
import { gradientPasses } from '../../src/training/gradientPasses.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { childOptions, childOverFull } from '../support/childTuning.js';
import { gradientsOfOne } from '../support/drawnMasks.js';
import { fixture, relativeDistance } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { jobOn, trainingOptions } from '../unit/training/jobs.js';

interface Steps {
  readonly losses: readonly number[];
  /** float32 as base64 */
  readonly values: Readonly<Record<string, string>>;
}
interface Reference {
  readonly learning_rate: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly F: Steps;
  readonly 'F without rescale': Steps;
  readonly D: Steps & {
    readonly p: number;
    readonly batches: number;
    readonly masks: Readonly<Record<string, string>>;
    readonly 'masks of one batch': Readonly<Record<string, string>>;
  };
}

const read = async (...parts: string[]): Promise<unknown> =>
  JSON.parse(await readFile(fixture(...parts), 'utf8')) as unknown;
const reference = (await read('child-tuning/steps.json')) as Reference;
const drawn = (await read('child-tuning/masks.json')) as {
  readonly p: number;
  readonly steps: readonly { readonly seed: number; readonly masks: Readonly<Record<string, string>> }[];
};
const rows = (await read('lora-reference/lora-steps/batches.json')) as {
  readonly input_ids: number[];
  readonly supervised: (0 | 1)[];
}[][];
const batches = rows.map((batch) =>
  batch.map(({ input_ids: ids, supervised }): Example => ({ ids, supervised, file: 'batches.json', line: 1 })),
);
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));

function batchOf(examples: readonly Example[]): Batch {
  return makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
}

/** The bits of a mask, the first lowest. */
function unpacked(text: string): (at: number) => number {
  const bytes = Buffer.from(text, 'base64');
  return (at) => (bytes[at >> 3]! >> (at & 7)) & 1;
}

/** Takes the reference's steps; asserts losses and what the tensors that it kept have become. */
async function assertSteps(methods: readonly Attached[], weight_decay: number, expected: Steps): Promise<void> {
  const { learning_rate: rate, max_grad_norm } = reference;
  const options = trainingOptions({ learning_rate: rate, weight_decay, max_grad_norm });
  const start = new Map(
    await Promise.all(
      methods[0]!.trainables.map(async ({ variable, start: first }) => [variable.name, await first()] as const),
    ),
  );
  const stepper = await createStepper({
    ...opened,
    methods,
    start: startSnapshot(new Map()),
    options,
    positionLimit: 64,
  });
  for (const [at, loss] of expected.losses.entries()) {
    const place = { step: at + 1, totalSteps: expected.losses.length };
    const found = await stepper.step([batchOf(batches[at]!)], place, rate, drawn.steps[at]!.seed);
    assert.ok(Math.abs(found.loss - loss) <= 1e-5 * loss, `loss of step ${at + 1}: ${found.loss}, ${loss}`);
  }
  const values = stepper.values();
  await stepper.dispose();
  for (const [name, text] of Object.entries(expected.values)) {
    const bytes = Buffer.from(text, 'base64');
    const after = Float32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));
    const change = (numbers: Float32Array): Float32Array =>
      numbers.map((value, at) => value - start.get(name)![at]!);
    const distance = relativeDistance(change(values.get(name)!), change(after));
    assert.ok(distance <= 1e-3, `${name}: ${distance}`);
  }
}

for (const [name, rescale] of [
  ['F', true],
  ['F without rescale', false],
] as const) {
  test(`${name}: steps with decay, after clipping, are torch's with the same masks`, async () => {
    const { full, child, methods } = childOverFull({ mode: 'F', p: drawn.p, rescale }, opened.context);
    const variables = full.trainables.map(({ variable }) => variable);
    const seeds = drawn.steps.map(({ seed }) => seed);
    const governed = await gradientsOfOne(opened.runtime, child, variables, seeds);
    const factor = rescale ? 1 / drawn.p : 1;
    for (const { seed, masks } of drawn.steps) {
      assert.deepEqual([...governed.get(seed)!.keys()].sort(), Object.keys(masks).sort());
      for (const [tensor, found] of governed.get(seed)!) {
        const bit = unpacked(masks[tensor]!);
        found.forEach((value, at) => assert.ok(Math.abs(value - factor * bit(at)) <= 1e-6, `${tensor}[${at}]`));
      }
    }
    await assertSteps(methods, reference.weight_decay, reference[name]);
  });
}

function fisherOf(batch_size: number): Promise<(Prepared | undefined)[]> {
  const configs = [{ type: 'full' } as const, childOptions({ p: reference.D.p, batch_size })];
  return prepareMethods(configs, opened.context, (before) =>
    gradientPasses({
      ...jobOn(opened),
      train: batches.slice(0, reference.D.batches).flat(),
      methods: before,
      stopRequested: () => false,
      stopped: { code: 'stopped', message: 'stopped' },
    }),
  );
}

function assertMasks(child: Attached, expected: Readonly<Record<string, string>>): void {
  const inputs = Object.entries(child.stepInputs!({ step: 1, totalSteps: 1 }));
  const masks = inputs.map(([name, { data }]) => [name.slice(name.indexOf('/') + 1), data] as const);
  assert.deepEqual(masks.map(([name]) => name).sort(), Object.keys(expected).sort());
  for (const [name, mask] of masks) {
    const bit = unpacked(expected[name]!);
    mask.forEach((kept, at) => assert.equal(Number(kept), bit(at), `${name}[${at}]`));
  }
}

test("D: Fisher masks are torch's, index for index, and so are the steps", async () => {
  const options = childOptions({ p: reference.D.p });
  const [, child] = attachMethods([{ type: 'full' }, options], opened.context, await fisherOf(24));
  assertMasks(child!, reference.D['masks of one batch']);
  const methods = attachMethods([{ type: 'full' }, options], opened.context, await fisherOf(1));
  assertMasks(methods[1]!, reference.D.masks);
  await assertSteps(methods, 0, reference.D);
});
