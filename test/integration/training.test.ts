// Steps that ONNX Runtime takes on a tiny Llama.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { makeBatch, planBatches } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import type { Values } from '../../src/methods/method.js';
import type { TrainingOptions } from '../../src/config/schema.js';
import { longest } from '../../src/training/job.js';
import type { StepResult } from '../../src/training/stepper.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { startValues } from '../support/startValues.js';
import { train } from '../../src/training/train.js';
import { fixture, relativeDistance } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import type { JobParts } from '../unit/training/jobs.js';
import { UNEVEN, eventsOf, jobOn, loraMethod, run } from '../unit/training/jobs.js';

const opened = await openModel(fixture('lora-reference/tiny-llama'));
const start = loraMethod({ r: 4, init_lora_weights: false });

interface Steps {
  readonly results: readonly StepResult[];
  readonly before: Values;
  readonly after: Values;
}

/** Optimizer steps over given micro-batches, from a start in which neither A nor B is zero. */
async function steps(
  perStep: readonly (readonly Batch[])[],
  parts: JobParts = {},
  dropoutSeed = 0,
): Promise<Steps> {
  const job = jobOn(opened, { method: start, ...parts });
  const before = await startValues(job.methods.flatMap(({ trainables }) => trainables));
  const stepper = await createStepper({ ...job, start: startSnapshot(before), positionLimit: 64 });
  const results: StepResult[] = [];
  for (const [at, batches] of perStep.entries()) {
    results.push(
      await stepper.step(
        batches,
        { step: at + 1, totalSteps: perStep.length },
        job.options.learning_rate,
        dropoutSeed,
      ),
    );
  }
  const after = new Map([...stepper.values()].map(([name, data]) => [name, Float32Array.from(data)]));
  await stepper.dispose();
  return { results, before, after };
}

/** Examples cut into batches of one size. */
function batchesOf(examples: readonly Example[], size: number): Batch[] {
  return Array.from({ length: examples.length / size }, (_, at) =>
    makeBatch(
      examples,
      Array.from({ length: size }, (__, row) => [at * size + row]),
    ),
  );
}

const relative = (found: number, expected: number): number => Math.abs(found - expected) / Math.abs(expected);

/** Largest relative distance of the changes of any trainable. */
function changesApart(found: Steps, expected: Steps): number {
  const change = ({ before, after }: Steps, name: string): Float32Array =>
    after.get(name)!.map((value, at) => value - before.get(name)![at]!);
  return Math.max(
    ...[...expected.after.keys()].map((name) => relativeDistance(change(found, name), change(expected, name))),
  );
}

// A large epsilon: with the usual one, Adam's first steps are ±rate and blow up what is rounding of gradients near 0.
const SMOOTH: Partial<TrainingOptions> = { learning_rate: 1e-2, adam_epsilon: 1e-2, max_grad_norm: 0 };
const whole = await steps(Array<Batch[]>(3).fill(batchesOf(UNEVEN, 8)), { options: SMOOTH });

for (const [batches, size] of [
  [4, 2],
  [2, 4],
  [8, 1],
] as const) {
  test(`accumulation: ${batches} batches of ${size} rows are one of 8`, async () => {
    const found = await steps(Array<Batch[]>(3).fill(batchesOf(UNEVEN, size)), {
      options: { ...SMOOTH, gradient_accumulation_steps: batches },
    });
    for (const [at, { loss, gradientNorm }] of whole.results.entries()) {
      assert.ok(relative(found.results[at]!.loss, loss) <= 1e-5, `loss of step ${at + 1}`);
      assert.ok(relative(found.results[at]!.gradientNorm, gradientNorm) <= 1e-5, `norm of step ${at + 1}`);
    }
    assert.ok(changesApart(found, whole) <= 1e-5, `changes are ${changesApart(found, whole)} apart`);
  });
}

test('accumulation is not a mean of means, which these rows would tell apart', async () => {
  const alone = await Promise.all(
    batchesOf(UNEVEN, 2).map(async (batch) => (await steps([[batch]], { options: SMOOTH })).results[0]!.loss),
  );
  const meanOfMeans = alone.reduce((a, b) => a + b) / alone.length;
  assert.ok(relative(meanOfMeans, whole.results[0]!.loss) > 1e-3, `${meanOfMeans} and ${whole.results[0]!.loss}`);
  const counts = batchesOf(UNEVEN, 2).map(({ targets }) => targets.length);
  const weighted = alone.reduce((sum, loss, at) => sum + loss * counts[at]!, 0) / counts.reduce((a, b) => a + b);
  assert.ok(relative(weighted, whole.results[0]!.loss) <= 1e-5);
});

test('an epoch whose last step has fewer batches: its sums start from zero', async () => {
  const [a, b, c] = batchesOf(UNEVEN, 2) as [Batch, Batch, Batch];
  const options = { ...SMOOTH, gradient_accumulation_steps: 2 };
  const found = await steps([[a, b], [c]], { options });
  const job = jobOn(opened, { method: start, options: SMOOTH });
  const after = await steps([[a, b]], { options });
  const stepper = await createStepper({ ...job, start: startSnapshot(after.after), positionLimit: 64 });
  const { loss, gradientNorm } = await stepper.step([c], { step: 1, totalSteps: 1 }, 0, 0);
  await stepper.dispose();
  assert.ok(relative(found.results[1]!.loss, loss) <= 1e-5);
  assert.ok(relative(found.results[1]!.gradientNorm, gradientNorm) <= 1e-5);
});

test('packed rows give the loss and the gradient of padded ones', async () => {
  const plan = planBatches(UNEVEN, { batchSize: 8, seed: 1, epoch: 0, packing: true, maxLength: 48 });
  assert.equal(plan.length, 1);
  const packed = makeBatch(UNEVEN, plan[0]!);
  assert.ok(packed.rows < 8 && packed.examples === 8);
  const found = await steps([[packed]], { options: SMOOTH });
  assert.ok(relative(found.results[0]!.loss, whole.results[0]!.loss) <= 1e-5);
  assert.ok(relative(found.results[0]!.gradientNorm, whole.results[0]!.gradientNorm) <= 1e-5);
  const apart = { ...packed, segments: packed.segments.map((segment) => Math.min(segment, 1)) };
  const leaking = await steps([[apart]], { options: SMOOTH });
  assert.ok(
    relative(leaking.results[0]!.loss, whole.results[0]!.loss) > 1e-4,
    'examples that see each other differ',
  );
});

test('a packed run trains on rows longer than any example', async () => {
  const { reason, events } = await run(opened, { packing: true, maxLength: 48, options: { max_steps: 2 } });
  assert.equal(reason, 'completed');
  const lengths = planBatches(UNEVEN, { batchSize: 8, seed: 42, epoch: 0, packing: true, maxLength: 48 }).map(
    (plan) => makeBatch(UNEVEN, plan).length,
  );
  assert.ok(Math.max(...lengths) > longest(UNEVEN));
  assert.equal(eventsOf(events, 'step').length, 2);
});

test('clipping scales the gradient to the norm, and leaves a smaller one as it is', async () => {
  const batch = batchesOf(UNEVEN, 8);
  // With epsilon 1 the first update is rate · g / (|g| + 1), from which g can be had back.
  const gradients = async (max_grad_norm: number): Promise<{ found: Float32Array; norm: number }> => {
    const options = { learning_rate: 1, adam_epsilon: 1, max_grad_norm };
    const { before, after, results } = await steps([batch], { options });
    const found = [...after].flatMap(([name, values]) =>
      Array.from(values, (value, at) => before.get(name)![at]! - value).map((d) => d / (1 - Math.abs(d))),
    );
    return { found: Float32Array.from(found), norm: results[0]!.gradientNorm };
  };
  const free = await gradients(0);
  assert.ok(relative(Math.hypot(...free.found), free.norm) <= 1e-4, 'the norm is over all trainables');
  const clipped = await gradients(free.norm / 4);
  assert.equal(clipped.norm, free.norm, 'what is told is the norm before clipping');
  assert.ok(
    relativeDistance(
      clipped.found,
      free.found.map((value) => value / 4),
    ) <= 1e-4,
  );
  const loose = await gradients(free.norm * 2);
  assert.ok(relativeDistance(loose.found, free.found) <= 1e-6);
});

test('dropout: the loss of a step follows the seed, and its mean is near that without', async () => {
  const batch = batchesOf(UNEVEN, 8);
  const lossAt = async (lora_dropout: number, seed: number): Promise<number> => {
    const method = { ...start, lora_dropout };
    return (await steps([batch], { method }, seed)).results[0]!.loss;
  };
  const without = await lossAt(0, 1);
  assert.equal(await lossAt(0, 2), without);
  const losses: number[] = [];
  for (let seed = 0; seed < 12; seed++) losses.push(await lossAt(0.1, seed));
  assert.equal(new Set(losses).size, 12);
  assert.equal(await lossAt(0.1, 5), losses[5]);
  const mean = losses.reduce((a, b) => a + b) / losses.length;
  const deviation = Math.sqrt(losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / (losses.length - 1));
  assert.ok(Math.abs(mean - without) < 4 * deviation, `${mean} ± ${deviation} around ${without}`);
  assert.ok(deviation < 0.1 * without);
});

test('dropout differs between the batches of one step', async () => {
  const [batch] = batchesOf(UNEVEN, 8) as [Batch];
  const method = { ...start, lora_dropout: 0.3 };
  const one = await steps([[batch]], { method });
  const twice = await steps([[batch, batch]], { method, options: { gradient_accumulation_steps: 2 } });
  assert.ok(relative(twice.results[0]!.loss, one.results[0]!.loss) > 1e-6);
});

const RUN: JobParts = {
  validation: UNEVEN.slice(0, 3),
  method: loraMethod({ r: 4, lora_dropout: 0.1 }),
  options: { per_device_train_batch_size: 2, num_train_epochs: 2, learning_rate: 5e-3, seed: 7 },
};

test('the same seed gives the same run bit for bit, another seed another', async () => {
  const lossesOf = ({ events }: Awaited<ReturnType<typeof run>>): number[] =>
    eventsOf(events, 'step').map(({ loss }) => loss);
  const [first, again] = [await run(opened, RUN), await run(opened, RUN)];
  const other = await run(opened, { ...RUN, options: { ...RUN.options, seed: 8 } });
  assert.deepEqual(again.values, first.values);
  assert.deepEqual(lossesOf(again), lossesOf(first));
  assert.deepEqual(again.metrics, first.metrics);
  assert.notDeepEqual(lossesOf(other), lossesOf(first));
  assert.equal(other.metrics['initial_eval_loss'], first.metrics['initial_eval_loss'], 'B is zero in both');
});

test('★70 after five steps B is not zero in any adapted module, and the base is untouched', async () => {
  const file = fixture('lora-reference/tiny-llama/model.safetensors');
  const digest = async (): Promise<string> =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  const before = await digest();
  const options = { per_device_train_batch_size: 4, max_steps: 5, learning_rate: 5e-3 };
  const job = jobOn(opened, { options });
  const initial = await startValues(job.methods.flatMap(({ trainables }) => trainables));
  const { values, steps: taken, metrics } = await run(opened, { options, validation: UNEVEN });
  assert.equal(taken, 5);
  let modules = 0;
  for (const [name, data] of values) {
    if (name.endsWith('.lora_B')) {
      modules++;
      assert.ok(
        data.every((value) => value !== 0),
        `${name} has entries that no gradient reached`,
      );
    } else {
      assert.ok(relativeDistance(data, initial.get(name)!) > 1e-5, `${name} did not move`);
    }
  }
  assert.equal(modules, 14);
  assert.ok(metrics['eval_loss']! < metrics['initial_eval_loss']!);
  assert.equal(await digest(), before);
});

test('stopped after three steps: the values are those of step 3', async () => {
  const options = { ...RUN.options, lr_scheduler_type: 'constant' as const };
  const three = await run(opened, { ...RUN, options: { ...options, max_steps: 3 } });
  let told = 0;
  const job = jobOn(opened, {
    ...RUN,
    options,
    emit: (event) => (told += event.type === 'step' ? 1 : 0),
    stopRequested: () => told >= 3,
  });
  const stopped = await train(job);
  assert.deepEqual([stopped.reason, stopped.steps], ['stopped', 3]);
  assert.deepEqual(stopped.values, three.values);
});
