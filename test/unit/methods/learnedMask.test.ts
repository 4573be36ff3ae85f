import assert from 'node:assert/strict';
import { cp, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { attachAdapter as attachOnDisk } from '../../../src/adapters/attachAdapter.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { makeBatch } from '../../../src/data/batches.js';
import type { Example } from '../../../src/data/example.js';
import { attachMethods } from '../../../src/engines/session.js';
import type { LearnedMaskOptions } from '../../../src/methods/learnedMask.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';
import { gradientPasses } from '../../../src/training/gradientPasses.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readTensors, relativeDistance } from '../../support/fixtures.js';
import { maskOnLlama, maskOptions } from '../../support/learnedMask.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { jobOn, loraMethod, run, trainingOptions } from '../training/jobs.js';

const folder = temporaryFolder();
const LLAMA = fixture('lora-reference', 'tiny-llama');
const opened = await openModel(LLAMA);
const linear = opened.model.sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);
const WEIGHTS = linear.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);
const ROWS = [[3, 5, 9, 2, 40, 77]];

function attach(options: Partial<LearnedMaskOptions> = {}): Attached {
  return attachMethods([maskOptions(options)], opened.context)[0]!;
}

/** The share of scores at or below a threshold. */
function offShare(values: Iterable<Float32Array>, threshold: number): { off: number; total: number } {
  let [off, total] = [0, 0];
  for (const scores of values) {
    off += scores.filter((score) => score <= threshold).length;
    total += scores.length;
  }
  return { off, total };
}

test('scores have the shapes of all linear weights but the head, and no decay', () => {
  const { trainables, coverage } = attach();
  assert.deepEqual(
    trainables.map(({ variable: { shape } }) => shape),
    linear.map(({ shape }) => shape),
  );
  assert.ok(trainables.every(({ decays }) => !decays));
  const counted = coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0);
  assert.equal(counted, WEIGHTS);
  assert.match(coverage.saves, /does not begin as the base model/);
});

test('at the start the share ρ of the weights is off: ± 3 deviations, whatever c and τ are', async () => {
  for (const options of [
    {},
    { initial_sparsity: 0.3, init_scale: 0.5, threshold: 0.2 },
    { threshold: 0, init_scale: 1 },
  ]) {
    const { threshold, init_scale: scale, initial_sparsity: share } = maskOptions(options);
    const { trainables, report } = attach(options);
    const values = await startValues(trainables);
    const { off, total } = offShare(values.values(), Math.fround(threshold));
    const deviation = Math.sqrt((share * (1 - share)) / total);
    assert.ok(Math.abs(off / total - share) <= 3 * deviation, `${off / total} of ${share}`);
    const upper = (scale + threshold) / share - scale;
    for (const scores of values.values()) {
      assert.ok(scores.every((score) => score >= Math.fround(-scale) && score <= Math.fround(upper)));
      assert.ok(scores.some((score) => score > upper - 0.1 * (upper + scale)));
    }
    const told = report!(values);
    const kept = told.reduce((sum, { density, shape }) => sum + density! * shape![0]! * shape![1]!, 0);
    assert.ok(Math.abs(kept - (total - off)) < 1e-6);
  }
  const [first, second] = [...(await startValues(attach().trainables)).values()];
  assert.notDeepEqual(first!.slice(0, 20), second!.slice(0, 20));
});

test('scores that would all start above the threshold are refused', () => {
  assert.throws(() => attach({ threshold: -0.1 }), problem('learned-mask.start', /none would be off/));
});

interface Reference {
  readonly learning_rate: number;
  readonly zeroed: string;
  readonly zeros: number;
  readonly losses: readonly number[];
  readonly flipped: number;
  /** float32 as base64, as are the scores after the last step */
  readonly gradients: Readonly<Record<string, string>>;
  readonly scores: Readonly<Record<string, string>>;
}
const reference = JSON.parse(await readFile(fixture('learned-mask/steps.json'), 'utf8')) as Reference;

function floats(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64');
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));
}

/** The base of the fixture, with the zeros that the reference has put into it. */
async function withZeros(): Promise<Opened> {
  const out = path.join(folder, 'zeroed');
  await cp(LLAMA, out, { recursive: true });
  const tensors = [...(await readTensors(path.join(LLAMA, 'model.safetensors'))).values()];
  tensors.find(({ name }) => name === reference.zeroed)!.data.fill(0, 0, reference.zeros);
  await writeSafetensors(
    path.join(out, 'model.safetensors'),
    tensors.map((tensor) => ({ ...tensor, dtype: 'F32' })),
  );
  return openModel(out);
}

test('gradients and steps of the scores are those of torch with the estimator; zeros of the base get none', async () => {
  const rows = JSON.parse(await readFile(fixture('lora-reference/lora-steps/batches.json'), 'utf8')) as {
    input_ids: number[];
    supervised: (0 | 1)[];
  }[][];
  const batches = rows.map((batch) =>
    batch.map(({ input_ids: ids, supervised }): Example => ({ ids, supervised, file: 'batches.json', line: 1 })),
  );
  const base = await withZeros();
  const method = maskOnLlama(base.context);
  const variables = method.trainables.map(({ variable }) => variable);
  const start = await startValues(method.trainables);
  const saved = await readTensors(fixture('learned-mask/scores.safetensors'));
  for (const [name, { data }] of saved)
    assert.deepEqual(start.get(name), data, `${name}: run scores.ts and make.py`);
  const sums = await gradientPasses({
    ...jobOn(base),
    train: batches[0]!,
    methods: [method],
    stopRequested: () => false,
    stopped: { code: 'stopped', message: 'stopped' },
  }).summedGradients({ variables, batchSize: batches[0]!.length });
  assert.deepEqual([...sums.keys()].sort(), Object.keys(reference.gradients).sort());
  for (const [name, found] of sums) {
    const difference = largestDifference(found, floats(reference.gradients[name]!));
    assert.ok(difference <= 1e-6, `${name}: ${difference}`);
  }
  const zeroed = reference.zeroed.replace(/weight$/, 'weight.scores');
  assert.ok(
    sums
      .get(zeroed)!
      .slice(0, reference.zeros)
      .every((value) => value === 0),
  );
  assert.ok(
    sums
      .get(zeroed)!
      .slice(reference.zeros)
      .filter((value) => value !== 0).length > 1000,
  );

  const options = trainingOptions({ learning_rate: reference.learning_rate, max_grad_norm: 0, weight_decay: 0.1 });
  const stepper = await createStepper({
    ...base,
    methods: [method],
    start: startSnapshot(new Map()),
    options,
    positionLimit: 64,
  });
  for (const [at, loss] of reference.losses.entries()) {
    const examples = batches[at]!;
    const batch = makeBatch(
      examples,
      examples.map((_, row) => [row]),
    );
    const place = { step: at + 1, totalSteps: reference.losses.length };
    const found = await stepper.step([batch], place, reference.learning_rate, 0);
    assert.ok(Math.abs(found.loss - loss) <= 1e-5 * loss, `loss of step ${at + 1}: ${found.loss}, ${loss}`);
  }
  const values = stepper.values();
  await stepper.dispose();
  let flipped = 0;
  for (const [name, text] of Object.entries(reference.scores)) {
    const [before, after] = [start.get(name)!, values.get(name)!];
    const distance = relativeDistance(
      after.map((value, at) => value - before[at]!),
      floats(text).map((value, at) => value - before[at]!),
    );
    assert.ok(distance <= 1e-3, `${name}: ${distance}`);
    flipped += after.filter((value, at) => value > Math.fround(0.01) !== before[at]! > Math.fround(0.01)).length;
  }
  assert.equal(flipped, reference.flipped);
  assert.deepEqual(values.get(zeroed)!.slice(0, reference.zeros), start.get(zeroed)!.slice(0, reference.zeros));
});

const method = attach({ initial_sparsity: 0.2 });
const trained = await run(opened, {
  methods: [method],
  options: { learning_rate: 1e-2, max_steps: 6, per_device_train_batch_size: 4 },
});

async function written(name: string, values: Values = trained.values): Promise<string> {
  const out = path.join(folder, name);
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(out, saved, { tokenizer, card: '', existing: 'replace' });
  return out;
}

test('the bits that are saved rebuild the logits exactly, without scores; merged they are the same', async () => {
  const out = await written('adapter');
  const { size } = await stat(path.join(out, 'adapter_model.safetensors'));
  assert.ok(size < WEIGHTS / 8 + 4000, `${size} bytes for ${WEIGHTS} weights`);
  const again = await attachAdapter(opened, out);
  assert.deepEqual(again.warnings, []);
  assert.deepEqual([again.method.trainables, [...again.values]], [[], []]);
  const applied = await logitsOf(opened, ROWS, again);
  assert.deepEqual(applied, await logitsOf(opened, ROWS, { method, values: trained.values }));
  assert.ok(largestDifference(applied, await logitsOf(opened, ROWS)) > 1e-2);
  assert.deepEqual(again.method.report!(new Map()), method.report!(trained.values));
  assert.deepEqual(again.method.save(new Map()), method.save(trained.values));

  const found = await inspectAdapter(out);
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.base, found.trainable], ['learned_mask', 'tiny-llama', WEIGHTS]);
  const report = await mergeAdapter({ ...opened, ...again, tokenizer, out: path.join(folder, 'merged') });
  assert.ok(report.verifiedDifference <= 1e-5, String(report.verifiedDifference));
  const merged = await openModel(path.join(folder, 'merged'));
  assert.ok(largestDifference(applied, await logitsOf(merged, ROWS)) <= 1e-5);
  const site = linear[3]!;
  const before = await opened.context.read(site.weight!);
  const after = await merged.context.read(site.weight!);
  const [zeros, kept] = [
    after.filter((value) => value === 0).length,
    after.filter((value, at) => value === before[at]),
  ];
  assert.equal(zeros + kept.length, after.length);
  assert.ok(zeros > 0.1 * after.length);
});

test('a mask that is missing, of another size or of no module is told', async () => {
  const saved = method.save(trained.values);
  assert.ok(saved.kind === 'adapter');
  const [first, ...others] = saved.indices!;
  const changed = async (name: string, indices: NonNullable<typeof saved.indices>): Promise<void> => {
    const out = path.join(folder, name);
    await writeAdapter(out, { ...saved, indices }, { tokenizer, card: '' });
    await attachOnDisk(await readAdapter(out), opened.context);
  };
  await assert.rejects(
    changed('missing', others),
    problem('adapter.keys', /1 are missing and 0 belong/, first!.name),
  );
  const other = { name: 'model.layers.9.mlp.down_proj.weight.mask', data: first!.data };
  await assert.rejects(
    changed('left', [first!, other, ...others]),
    problem('adapter.keys', /1 belong to no module/),
  );
  const short = { ...first!, data: first!.data.slice(1) };
  await assert.rejects(changed('short', [short, ...others]), problem('adapter.shape', first!.name));
});

test('behind a method that adds to the same product it is refused, before it the two combine and merge', async () => {
  const adapter = loraMethod({ r: 2, init_lora_weights: false });
  assert.throws(
    () => attachMethods([adapter, maskOptions()], opened.context),
    problem('learned-mask.order', /List learned_mask first/),
  );
  const elsewhere = loraMethod({ r: 2, target_modules: ['q_proj'] });
  attachMethods([elsewhere, maskOptions({ target_modules: ['v_proj'] })], opened.context);
  const methods = attachMethods([maskOptions(), adapter], opened.context);
  const values = await startValues(methods.flatMap(({ trainables }) => trainables));
  const report = await mergeAdapter({
    ...opened,
    methods,
    values,
    tokenizer,
    out: path.join(folder, 'merged-both'),
  });
  assert.ok(report.verifiedDifference <= 1e-4, String(report.verifiedDifference));
});
