import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { adapterTask } from '../../../src/adapters/adapterTask.js';
import { TrainingOptions } from '../../../src/config/schema.js';
import { makeBatch } from '../../../src/data/batches.js';
import type { Example } from '../../../src/data/example.js';
import { attachMethods } from '../../../src/engines/session.js';
import { IntrinsicOptions } from '../../../src/methods/intrinsic.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { parameterShape } from '../../../src/models/site.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { loraMethod } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const batches = await readBatches();
const reference = JSON.parse(await readFile(fixture('intrinsic/steps.json'), 'utf8')) as {
  seed: number;
  learning_rate: number;
  row: number[];
  runs: Record<
    'DID' | 'SAID',
    { intrinsic_dim: number; losses: number[]; z: number[]; lambda?: number[]; logits: number[] }
  >;
};

async function readBatches(): Promise<Example[][]> {
  const text = await readFile(fixture('lora-reference/lora-steps/batches.json'), 'utf8');
  const rows = JSON.parse(text) as { input_ids: number[]; supervised: (0 | 1)[] }[][];
  return rows.map((each) =>
    each.map(({ input_ids: ids, supervised }) => ({ ids, supervised, file: 'batches.json', line: 1 })),
  );
}

function subspace(options: Partial<IntrinsicOptions> = {}): MethodConfig {
  return Value.Parse(IntrinsicOptions, { type: 'intrinsic', projection_prng_key: reference.seed, ...options });
}

function attachedTo({ context }: Opened, ...configs: MethodConfig[]): Attached {
  return attachMethods(configs, context).at(-1)!;
}

async function steps(
  model: Opened,
  method: Attached,
  count: number,
): Promise<{ losses: number[]; values: Values }> {
  const stepper = await createStepper({
    ...model,
    methods: [method],
    start: startSnapshot(await startValues(method.trainables)),
    options: Value.Parse(TrainingOptions, { weight_decay: 0, max_grad_norm: 1 }),
    positionLimit: 64,
  });
  const losses: number[] = [];
  for (const [at, rows] of batches.slice(0, count).entries()) {
    const batch = makeBatch(
      rows,
      rows.map((_, row) => [row]),
    );
    const place = { step: at + 1, totalSteps: count };
    losses.push((await stepper.step([batch], place, reference.learning_rate, at + 1)).loss);
  }
  const values = new Map([...stepper.values()].map(([name, numbers]) => [name, Float32Array.from(numbers)]));
  await stepper.dispose();
  return { losses, values };
}

async function written(name: string, method: Attached, values: Values): Promise<string> {
  const saved = method.save(values);
  assert.equal(saved.kind, 'adapter');
  const out = path.join(folder, name);
  await writeAdapter(out, saved, { tokenizer, card: '' });
  return out;
}

for (const [variant, run] of Object.entries(reference.runs)) {
  const config = subspace({ variant: variant === 'DID' ? 'DID' : 'SAID', intrinsic_dim: run.intrinsic_dim });
  const method = attachedTo(opened, config);
  const trained = await steps(opened, method, run.losses.length);

  test(`${variant}: steps, numbers and logits are PyTorch's with dense projections`, async () => {
    for (const [at, loss] of run.losses.entries()) {
      assert.ok(Math.abs(trained.losses[at]! - loss) <= 1e-4, `loss ${at + 1}: ${trained.losses[at]} for ${loss}`);
    }
    assert.ok(largestDifference(trained.values.get('z')!, run.z) <= 1e-4);
    if (run.lambda !== undefined) assert.ok(largestDifference(trained.values.get('lambda')!, run.lambda) <= 1e-4);
    const logits = await logitsOf(opened, [reference.row], { method, values: trained.values });
    assert.ok(largestDifference(logits, run.logits) <= 1e-4);
  });

  test(`${variant}: exactly d numbers train, and they start from the base model`, async () => {
    const sizes = method.trainables.map(({ variable: { shape } }) => Number(shape[0]));
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      run.intrinsic_dim,
    );
    assert.equal(
      method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
      run.intrinsic_dim,
    );
    const start = await startValues(method.trainables);
    assert.deepEqual(
      await logitsOf(opened, [reference.row], { method, values: start }),
      await logitsOf(opened, [reference.row]),
    );
  });

  test(`${variant}: saved, loaded and merged, it gives the same logits`, async () => {
    const out = await written(variant, method, trained.values);
    const rows = [reference.row];
    const expected = await logitsOf(opened, rows, { method, values: trained.values });
    const loaded = await attachAdapter(opened, out);
    assert.deepEqual(loaded.warnings, []);
    assert.deepEqual(await logitsOf(opened, rows, loaded), expected);
    const inspected = await inspectAdapter(out);
    assert.deepEqual(
      [inspected.trainable, inspected.method, inspected.problems],
      [run.intrinsic_dim, 'intrinsic', []],
    );
    const merged = path.join(folder, `${variant}-merged`);
    const report = await mergeAdapter({ ...opened, ...loaded, tokenizer, out: merged, dtype: 'F32' });
    assert.ok(report.verifiedDifference < 1e-4);
    assert.ok(largestDifference(await logitsOf(await openModel(merged), rows), expected) < 1e-4);
  });

  test(`${variant}: the norms told are those of what a merge changes`, async () => {
    const told = new Map(method.report!(trained.values).map(({ path: site, norm }) => [site, norm]));
    for (const site of opened.model.sites) {
      const base = await opened.context.read(site.weight!);
      const change = method.merge!(site, 'weight', base, trained.values)!.map((value, at) => value - base[at]!);
      assert.ok(Math.abs(told.get(site.path)! - Math.hypot(...change)) < 1e-5, site.path);
    }
  });
}

test("without a key of its own the projection is drawn from the run's seed, and the adapter says from what", () => {
  const rest = Value.Parse(IntrinsicOptions, { type: 'intrinsic' });
  const keyOf = (method: Attached): unknown => {
    const values = new Map(
      method.trainables.map(({ variable: { name, shape } }) => [name, new Float32Array(Number(shape[0]))]),
    );
    const saved = method.save(values);
    return saved.kind === 'adapter' && saved.config['projection_prng_key'];
  };
  assert.equal(keyOf(attachedTo(opened, rest)), keyOf(attachedTo(opened, rest)));
  assert.equal(typeof keyOf(attachedTo(opened, rest)), 'number');
  // The second of two draws others.
  const [first, second] = attachMethods([rest, rest], opened.context);
  assert.notEqual(keyOf(first!), keyOf(second!));
});

test('targets choose what moves; a shared matrix is told', async () => {
  const narrow = attachedTo(opened, subspace({ variant: 'DID', intrinsic_dim: 20, target_modules: ['q_proj'] }));
  const values = new Map([['z', new Float32Array(20).fill(0.1)]]);
  for (const site of opened.model.sites) {
    const base = await opened.context.read(site.weight!);
    assert.equal(
      narrow.merge!(site, 'weight', base, values) !== undefined,
      site.path.endsWith('q_proj'),
      site.path,
    );
  }
  const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
  const head = attachedTo(tied, subspace({ target_modules: ['lm_head'] }));
  assert.match(head.coverage.warnings[0]!.message, /lm_head and model\.embed_tokens are one matrix/);
  assert.deepEqual(attachedTo(tied, subspace()).coverage.warnings, []);
});

test('what cannot be is refused', () => {
  const attach = (...configs: MethodConfig[]) => attachMethods(configs, opened.context);
  assert.throws(() => attach(subspace({ intrinsic_dim: 3 })), problem('intrinsic.dimension', 'at least 4'));
  attach(subspace({ intrinsic_dim: 4 }));
  attach(subspace({ intrinsic_dim: 1, variant: 'DID' }));
  assert.throws(() => attach(subspace({ target_modules: ['q_porj'] })), problem('targets.no-match', 'q_porj'));
  assert.throws(() => attach(subspace(), { type: 'full' }), problem('methods.same-module', 'intrinsic and full'));
  attach(loraMethod({ r: 2 }), subspace());
});

test('a dimension above the numbers that it spans is refused, one of more than half of them is warned of', () => {
  const attach = (intrinsic_dim: number) =>
    attachedTo(opened, subspace({ target_modules: ['norm'], variant: 'DID', intrinsic_dim }));
  const { hiddenSize: hidden } = opened.context.model;
  assert.throws(() => attach(hidden + 1), problem('intrinsic.dimension-large', `at most ${hidden}`));
  assert.equal(attach(hidden).coverage.warnings[0]!.code, 'intrinsic.dimension-large');
  assert.deepEqual(attach(hidden / 2).coverage.warnings, []);
  // Refused before a single number of the projection is drawn.
  assert.throws(() => attach(10 ** 12), problem('intrinsic.dimension-large'));
});

test('a base model of other sizes is refused, though a point fits any', async () => {
  const method = attachedTo(opened, subspace({ intrinsic_dim: 20, variant: 'DID' }));
  const out = await written('other-base', method, await startValues(method.trainables));
  const other = await openModel(fixture('gpt2', 'tiny-gpt2'));
  await assert.rejects(attachAdapter(other, out), problem('adapter.other-base', 'of this one'));
  const file = path.join(out, 'adapter_config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  assert.equal(config['spanned_numbers'], 23_712);
  // Adapters of before do not say.
  await writeFile(file, JSON.stringify({ ...config, spanned_numbers: null }));
  await attachAdapter(opened, out);
  assert.deepEqual((await inspectAdapter(out)).problems, []);
});

test('an adapter of another version of the numbers, or without its key, is refused', async () => {
  const method = attachedTo(opened, subspace({ intrinsic_dim: 20 }));
  const values = await startValues(method.trainables);
  const out = await written('versions', method, values);
  const file = path.join(out, 'adapter_config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  const changed = async (part: Record<string, unknown>): Promise<void> =>
    writeFile(file, JSON.stringify({ ...config, ...part }));
  await changed({ projection_version: 2 });
  await assert.rejects(attachAdapter(opened, out), problem('adapter.config', 'version 2'));
  await changed({ projection: 'dense' });
  await assert.rejects(attachAdapter(opened, out), problem('adapter.config', '"dense"'));
  await changed({ projection_prng_key: null });
  await assert.rejects(attachAdapter(opened, out), problem('adapter.config', 'projection_prng_key'));
  await changed({ intrinsic_dim: 21 });
  await assert.rejects(attachAdapter(opened, out), problem('adapter.shape'));
  assert.match((await inspectAdapter(out)).problems[0]!.message, /hold 20 numbers, the config says 21/);
  await changed({ variant: 'DID' });
  await assert.rejects(attachAdapter(opened, out), problem('adapter.keys', 'lambda'));
});

test('a head that starts anew is part of the subspace: drawn again from the key, it is nowhere stored', async () => {
  const task = { type: 'SEQ_CLS', labels: ['a', 'b', 'c'] } as const;
  const encoder = await openModel(fixture('encoders', 'tiny-bert'), task);
  const method = attachedTo(encoder, subspace({ intrinsic_dim: 30 }));
  assert.equal(
    method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
    30,
  );
  assert.deepEqual(method.coverage.classes, task.labels);
  const numbers = (count: number) => Float32Array.from({ length: count }, (_, at) => Math.sin(at));
  const values = new Map(
    method.trainables.map(({ variable: { name, shape } }) => [name, numbers(Number(shape[0]))] as const),
  );
  const out = await written('head', method, values);
  const adapter = await readAdapter(out);
  assert.deepEqual([...adapter.tensors.keys()].sort(), ['lambda', 'z']);
  assert.deepEqual(adapterTask(adapter), task);
  const again = await openModel(fixture('encoders', 'tiny-bert'), adapterTask(adapter));
  const loaded = await attachAdapter(again, out);
  for (const site of encoder.model.classes!.sites) {
    const base = new Float32Array(parameterShape(site, 'weight').reduce((product, length) => product * length, 1));
    const merged = method.merge!(site, 'weight', base, values)!;
    assert.deepEqual(loaded.method.merge!(site, 'weight', base, loaded.values), merged);
    const start = new Map([...values].map(([name, each]) => [name, new Float32Array(each.length)]));
    const fresh = method.merge!(site, 'weight', base, start)!;
    const deviation = Math.sqrt(fresh.reduce((sum, value) => sum + value * value, 0) / fresh.length);
    const { deviation: usual } = encoder.model.classes!;
    assert.ok(Math.abs(deviation / usual - 1) < 0.3, `${deviation} for ${usual}`);
  }
  // Beside the subspace it trains whole, as with any other method.
  const beside = attachedTo(encoder, subspace({ intrinsic_dim: 30, head_in_subspace: false }));
  assert.ok(beside.coverage.modules.some(({ path: site }) => site === 'classifier.weight'));
  const [, second] = attachMethods([loraMethod({ r: 2, target_modules: ['query'] }), subspace()], encoder.context);
  assert.equal(second!.coverage.classes, undefined);
});

for (const [fixtureOf, stacks] of [
  [['gpt2', 'tiny-gpt2'], 1],
  [['t5', 'tiny-t5'], 2],
] as const) {
  test(`${fixtureOf.join('/')}: each layer of each stack has a factor, and a merge is the model with it`, async () => {
    const other = await openModel(fixture(...fixtureOf));
    const method = attachedTo(other, subspace({ intrinsic_dim: 50 }));
    const layers = new Set(
      other.model.sites.flatMap(({ path: site, layer }) =>
        layer === undefined ? [] : [`${stacks === 1 ? '' : site.split('.')[0]} ${layer}`],
      ),
    );
    const [, lambda] = method.trainables;
    assert.deepEqual(lambda!.variable.shape, [layers.size + 1]);
    assert.equal(method.report!(await startValues(method.trainables)).length, other.model.sites.length);
    assert.match(method.coverage.saves, /with the 50 numbers that move \d{1,3}(,\d{3})+ weights/);
    const z = Float32Array.from({ length: 50 - layers.size - 1 }, (_, at) => Math.sin(at) / 10);
    const factors = Float32Array.from({ length: layers.size + 1 }, (_, at) => 1 + at / 10);
    const values = new Map([
      ['z', z],
      ['lambda', factors],
    ]);
    const job = { ...other, methods: [method], values, tokenizer, dtype: 'F32' as const };
    const report = await mergeAdapter({ ...job, out: path.join(folder, fixtureOf.join('-')) });
    assert.ok(report.verifiedDifference < 1e-3, String(report.verifiedDifference));
    assert.ok(report.tensorsChanged > 10 && report.tied !== 'untied');
  });
}
