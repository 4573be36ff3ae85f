import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { allLogits } from '../../../src/adapters/merging/logits.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { Json } from '../../../src/common/json.js';
import { Ia3Options, ia3 } from '../../../src/methods/ia3.js';
import { ia3ConfigFromPeft } from '../../../src/methods/ia3Config.js';
import { ia3Defaults } from '../../../src/methods/ia3Defaults.js';
import { lora } from '../../../src/methods/lora.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { constant } from '../../../src/tensor/tensor.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { fakeContext, loraOptions, randomValues, site } from './fakeModel.js';

const folder = temporaryFolder();
const BASES = {
  llama: fixture('lora-reference', 'tiny-llama'),
  'llama-biased': fixture('lora-reference', 'tiny-llama-tied'),
  gpt2: fixture('gpt2', 'tiny-gpt2'),
  square: fixture('lora-reference', 'tiny-llama'),
};
const llama = await openModel(BASES.llama);

function optionsOf(options: Partial<Ia3Options> = {}): Ia3Options {
  return Value.Parse(Ia3Options, { type: 'ia3', ...options });
}

function attach(options: Partial<Ia3Options>, context: AttachContext = llama.context): Attached {
  return ia3.attach(optionsOf(options), context);
}

for (const [name, base] of Object.entries(BASES)) {
  test(`PEFT's adapter (${name}) gives PEFT's logits, merges as PEFT merges, and is written back as it was`, async () => {
    const source = fixture('ia3', name);
    const file = `${source}/logits.safetensors`;
    const opened = await openModel(base);
    const adapter = await attachAdapter(opened, source);
    assert.deepEqual(adapter.warnings, []);
    const rows = await readInputIds(file);
    const expected = await readTensors(file);
    const found = await logitsOf(opened, rows, adapter);
    assert.ok(largestDifference(found, expected.get('logits')!.data) <= 1e-4);
    assert.ok(largestDifference(found, await logitsOf(opened, rows)) > 0.1, 'the adapter does something');

    const report = await mergeAdapter({
      ...opened,
      ...adapter,
      tokenizer,
      out: `${folder}/${name}-merged`,
      dtype: 'F32',
    });
    assert.ok(report.verifiedDifference <= 1e-4, String(report.verifiedDifference));
    const merged = await logitsOf(await openModel(report.out), rows);
    assert.ok(largestDifference(merged, expected.get('merged_logits')!.data) <= 1e-4);

    const saved = adapter.method.save(adapter.values);
    assert.ok(saved.kind === 'adapter');
    const config = await readJson(`${source}/adapter_config.json`);
    const sorted = (value: Json): Json => (Array.isArray(value) ? [...(value as string[])].sort() : value);
    const written = Object.entries(saved.config).map(([key, value]) => [key, sorted(value)]);
    assert.deepEqual({ ...Object.fromEntries(written), peft_version: config['peft_version'] }, config);
    const out = `${folder}/${name}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const again = await readAdapter(out);
    assert.deepEqual(
      new Map([...(await again.loadTensors())].sort()),
      new Map([...(await (await readAdapter(source)).loadTensors())].sort()),
    );
  });

  test(`steps from PEFT's adapter (${name}) are PEFT's`, async () => {
    const opened = await openModel(base);
    const adapter = await attachAdapter(opened, fixture('ia3', name));
    const errors = await repeatPeftSteps(opened, fixture('ia3', name), adapter, adapter.values);
    assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
    for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
  });
}

test('the comparison of steps notices another learning rate', async () => {
  const adapter = await attachAdapter(llama, fixture('ia3', 'llama'));
  const errors = await repeatPeftSteps(llama, fixture('ia3', 'llama'), adapter, adapter.values, 0.8);
  assert.ok([...errors.changes.values()].every((distance) => distance > 0.1));
});

test('it starts as the base, exactly, with L·(d_k + d_v + d_ff) numbers', async () => {
  const method = attach({});
  const values = await startValues(method.trainables);
  const rows = await readInputIds(fixture('ia3/llama/logits.safetensors'));
  const start = await logitsOf(llama, rows, { method, values });
  assert.deepEqual(start, await logitsOf(llama, rows));
  // Two key heads of size 8 in either layer, and 48 inner activations.
  const trainable = method.coverage.modules.reduce((sum, each) => sum + each.trainable, 0);
  assert.equal(trainable, 2 * (16 + 16 + 48));
  assert.equal(
    method.trainables.reduce(
      (sum, { variable: { shape } }) => sum + shape.reduce<number>((a, b) => a * Number(b), 1),
      0,
    ),
    trainable,
  );
  assert.ok(method.trainables.every(({ decays }) => !decays));
  assert.deepEqual(
    method.report!(values).map(({ path, norm }) => [path, norm]),
    [0, 1].flatMap((layer) =>
      ['self_attn.k_proj', 'self_attn.v_proj', 'mlp.down_proj'].map((name) => [
        `model.layers.${layer}.${name}`,
        0,
      ]),
    ),
  );
  const random = attach({ init_ia3_weights: false });
  const drawn = [...(await startValues(random.trainables)).values()].flatMap((each) => [...each]);
  assert.ok(new Set(drawn).size > 100);
});

test('the report is ‖l − 1‖', () => {
  const method = attach({ target_modules: ['k_proj'], feedforward_modules: [] });
  const [first] = method.trainables;
  const values = new Map(method.trainables.map(({ variable }) => [variable.name, new Float32Array(16).fill(1)]));
  values.set(
    first!.variable.name,
    Float32Array.from({ length: 16 }, (_, at) => (at === 0 ? 4 : at === 1 ? -3 : 1)),
  );
  assert.deepEqual(
    method.report!(values).map(({ norm }) => norm),
    [5, 0],
  );
});

test('a run lowers the loss', async () => {
  const { events, reason } = await run(llama, {
    method: optionsOf(),
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 0.05, max_steps: 20, eval_steps: 20 },
  });
  assert.equal(reason, 'completed');
  const told = eventsOf(events, 'ranks').at(-1)!.sites;
  assert.ok(told.length === 6 && told.every(({ rank, norm }) => rank === undefined && norm! > 0));
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < losses[0]!, losses.join());
});

test('a square module scales in or out as it is told', () => {
  const context = fakeContext([
    site('embedding', 'model.embed_tokens', [16, 2]),
    site('linear', 'model.layers.0.a', [2, 2], { bias: 'model.layers.0.a.bias' }),
    site('linear', 'model.layers.0.b', [2, 2], { bias: 'model.layers.0.b.bias' }),
    site('linear', 'model.layers.0.c', [2, 2], { layout: 'in-out' }),
    site('linear', 'model.layers.0.d', [2, 2], { layout: 'in-out' }),
  ]);
  const method = attach({ target_modules: ['a', 'b', 'c', 'd'], feedforward_modules: ['b', 'd'] }, context);
  const values = new Map(method.trainables.map(({ variable }) => [variable.name, Float32Array.of(10, 100)]));
  const merged = (path: string, kind: 'weight' | 'bias'): number[] | undefined => {
    const own = context.model.sites.find((each) => each.path === `model.layers.0.${path}`)!;
    const found = method.merge!(
      own,
      kind,
      Float32Array.of(1, 2, 3, 4).subarray(0, kind === 'bias' ? 2 : 4),
      values,
    );
    return found && [...found];
  };
  assert.deepEqual(merged('a', 'weight'), [10, 20, 300, 400]);
  assert.deepEqual(merged('b', 'weight'), [10, 200, 30, 400]);
  assert.deepEqual(merged('c', 'weight'), [10, 200, 30, 400]);
  assert.deepEqual(merged('d', 'weight'), [10, 20, 300, 400]);
  assert.deepEqual(merged('a', 'bias'), [10, 200]);
  assert.equal(merged('b', 'bias'), undefined);
});

test('beside LoRA each wraps what is there: the last one in the list is the outermost', async () => {
  const rows = [[5, 6, 70, 12, 9]];
  const target = ['down_proj'];
  const scales = attach({ target_modules: target }, { ...llama.context, instance: '1:' });
  const pairs = lora.attach(loraOptions({ r: 2, target_modules: target }), llama.context);
  const values = new Map([...randomValues(scales), ...randomValues(pairs, 2)]);
  // W·diag(l) + BA, or (W + BA)·diag(l): what merging one after the other gives.
  for (const methods of [
    [scales, pairs],
    [pairs, scales],
  ]) {
    const weights = new Map<string, Float32Array>();
    for (const own of llama.model.sites.filter(({ path }) => path.endsWith('down_proj'))) {
      let weight = await llama.context.read(own.weight!);
      for (const method of methods) weight = method.merge!(own, 'weight', weight, values) ?? weight;
      weights.set(own.path, weight);
    }
    const merged: Attached = {
      ...scales,
      trainables: [],
      hooks: {
        parameter: ({ path }, kind, base) => {
          const weight = kind === 'weight' ? weights.get(path) : undefined;
          return weight === undefined ? base : constant(weight, base.shape);
        },
      },
    };
    const found = await allLogits({ ...llama, rows, methods, values });
    const expected = await logitsOf(llama, rows, { method: merged, values: new Map() });
    assert.ok(largestDifference(found, expected) <= 1e-4 * Math.max(1, ...expected.map(Math.abs)));
  }
});

test('options that cannot be', () => {
  const strange: AttachContext = { ...llama.context, model: { ...llama.model, modelType: 'strange' } };
  assert.throws(() => attach({}, strange), problem('ia3.modules', "type 'strange'", 'Add target_modules'));
  const keys = { target_modules: ['k_proj'] };
  assert.throws(() => attach(keys, strange), problem('ia3.modules', 'Add feedforward_modules'));
  assert.equal(attach({ ...keys, feedforward_modules: [] }, strange).trainables.length, 2);
  assert.throws(
    () => attach({ ...keys, feedforward_modules: ['down_proj'] }),
    problem('ia3.feedforward', "'down_proj'"),
  );
  assert.throws(
    () => attach({ ...keys, feedforward_modules: '.*down_proj' }),
    problem('ia3.feedforward', "'.*down_proj'"),
  );
  assert.throws(() => attach({ target_modules: ['embed_tokens'] }), problem('targets.no-match', 'embed_tokens'));
  assert.throws(
    () => attach({ modules_to_save: ['k_proj'] }),
    problem('lora.twice', 'model.layers.0.self_attn.k_proj'),
  );
  const adapter = attach(
    { ...keys, feedforward_modules: ['down_proj'] },
    { ...llama.context, idlePatterns: 'warning' },
  );
  assert.deepEqual(
    adapter.coverage.warnings.map(({ code, severity }) => [code, severity]),
    [['ia3.feedforward', 'warning']],
  );
});

test('an entry of feedforward_modules is the ending of a path wherever it begins, as in PEFT', () => {
  const method = attach({ target_modules: ['q_proj', 'down_proj'], feedforward_modules: ['n_proj'] });
  const shapes = new Map(method.trainables.map(({ variable: { name, shape } }) => [name, shape]));
  assert.deepEqual(shapes.get('model.layers.0.mlp.down_proj.ia3_l'), [1, 48]);
  assert.deepEqual(shapes.get('model.layers.0.self_attn.q_proj.ia3_l'), [32, 1]);
  // PEFT refuses feed-forward modules that are no targets by name: whole paths are written.
  const saved = method.save(new Map());
  assert.ok(saved.kind === 'adapter');
  const { target_modules: targets, feedforward_modules: feedforward } = saved.config;
  assert.deepEqual(feedforward, ['model.layers.0.mlp.down_proj', 'model.layers.1.mlp.down_proj']);
  assert.ok(Array.isArray(targets) && targets.length === 4 && feedforward.every((each) => targets.includes(each)));
});

test('a config that says no modules means those of the table; unknown keys that matter are refused', () => {
  const { options, warnings } = ia3ConfigFromPeft({ peft_type: 'IA3', target_modules: null }, 'x');
  assert.deepEqual([options, warnings], [optionsOf(), []]);
  assert.throws(
    () => ia3ConfigFromPeft({ peft_type: 'IA3', something_new: true }, 'x'),
    problem('adapter.config'),
  );
  assert.deepEqual(ia3Defaults('llama')?.targets, ['k_proj', 'v_proj', 'down_proj']);
  assert.deepEqual(ia3Defaults('toString'), undefined);
});

test('inspecting', async () => {
  const found = await inspectAdapter(fixture('ia3', 'llama-biased'));
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.modules, found.trainable], ['ia3', [], 2 * (16 + 16 + 48) + 32]);
  const adapter = await readAdapter(fixture('ia3', 'llama'));
  const codes = async (change: Partial<typeof adapter>): Promise<string[]> => {
    const { problems } = await ia3.peft!.inspect({ ...adapter, ...change });
    return problems.map(({ code }) => code);
  };
  const ones = (): Promise<Float32Array> => Promise.resolve(Float32Array.of(1, 1));
  assert.deepEqual(await codes({ read: ones }), ['adapter.untrained']);
  assert.deepEqual(await codes({ tensors: new Map() }), ['adapter.untrained']);
  assert.deepEqual(await codes({ tensors: new Map([['a.ia3_l', { shape: [3], dtype: 'F32' }]]), read: ones }), [
    'adapter.shape',
    'adapter.untrained',
  ]);
});
