import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { Json } from '../../../src/common/json.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { LokrOptions, factorShapes, lokr } from '../../../src/methods/lokr.js';
import { lokrConfigFromPeft } from '../../../src/methods/lokrConfig.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';
import { startValues } from '../../support/startValues.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { constant, input } from '../../../src/tensor/tensor.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { fakeContext, randomValues, site, smallSites } from './fakeModel.js';

const folder = temporaryFolder();
const LLAMA = fixture('lora-reference', 'tiny-llama');
const BASES = {
  krona: LLAMA,
  'second-split': LLAMA,
  'both-split': LLAMA,
  patterns: fixture('lora-reference', 'tiny-llama-tied'),
};
const llama = await openModel(LLAMA);

function optionsOf(options: Partial<LokrOptions> = {}): LokrOptions {
  return Value.Parse(LokrOptions, { type: 'lokr', ...options });
}

function attach(options: Partial<LokrOptions>, context: AttachContext = llama.context): Attached {
  return lokr.attach(optionsOf(options), context);
}

const endings = (method: Attached, path: string): string[] =>
  method.trainables.flatMap(({ variable: { name, shape } }) =>
    name.startsWith(`${path}.lokr_`) ? [`${name.slice(path.length + 6)} ${shape.join('x')}`] : [],
  );

for (const [name, base] of Object.entries(BASES)) {
  test(`PEFT's adapter (${name}) gives PEFT's logits, merges as PEFT merges, and is written back as it was`, async () => {
    const source = fixture('lokr', name);
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
    // How it started is not read.
    assert.deepEqual(
      {
        ...Object.fromEntries(written),
        peft_version: config['peft_version'],
        init_weights: config['init_weights'],
      },
      config,
    );
    const out = `${folder}/${name}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const again = await readAdapter(out);
    assert.deepEqual(
      new Map([...(await again.loadTensors())].sort()),
      new Map([...(await (await readAdapter(source)).loadTensors())].sort()),
    );

    const inspected = await inspectAdapter(source);
    assert.deepEqual(inspected.problems, []);
    const known = new Map(adapter.method.report!(adapter.values).map((each) => [each.path, each]));
    assert.equal(inspected.modules.length, known.size);
    for (const { path, rank, scale, norm, trainable } of inspected.modules) {
      assert.deepEqual({ path, rank, scale, norm }, known.get(path));
      assert.equal(trainable, adapter.method.coverage.modules.find((each) => each.path === path)!.trainable);
    }
  });

  test(`steps from PEFT's adapter (${name}) are PEFT's`, async () => {
    const opened = await openModel(base);
    const adapter = await attachAdapter(opened, fixture('lokr', name));
    const errors = await repeatPeftSteps(opened, fixture('lokr', name), adapter, adapter.values);
    assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
    for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
  });
}

test("steps from PEFT's own start are PEFT's: the factor that was zero moves", async () => {
  const source = fixture('lokr/second-split/initial');
  const adapter = await attachAdapter(llama, source);
  assert.ok([...adapter.values].every(([name, data]) => name.endsWith('w1') === data.every((each) => each === 0)));
  const errors = await repeatPeftSteps(llama, source, adapter, adapter.values);
  assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
  for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
});

test('the comparison of steps notices another learning rate', async () => {
  const adapter = await attachAdapter(llama, fixture('lokr', 'krona'));
  const errors = await repeatPeftSteps(llama, fixture('lokr', 'krona'), adapter, adapter.values, 0.8);
  assert.ok([...errors.changes.values()].every((distance) => distance > 0.1));
});

test('factors are split where r is below half of their longer side; numbers are l·m + k·n and the like', () => {
  // 896 = 28·32 and 4864 = 64·76.
  const numbers = (options: Partial<LokrOptions>): number => {
    const { w1, w2 } = factorShapes([896, 4864], 'model.layers.0.mlp.down_proj', optionsOf(options));
    return [w1, w2]
      .flatMap((factor) => (factor.kind === 'whole' ? [factor.whole] : [factor.a, factor.b]))
      .reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  };
  assert.equal(numbers({ r: 38 }), 28 * 64 + 32 * 76);
  assert.equal(numbers({ r: 37 }), 28 * 64 + 37 * (32 + 76));
  assert.equal(numbers({ r: 8 }), 28 * 64 + 8 * (32 + 76));
  assert.equal(numbers({ r: 8, decompose_both: true }), 8 * (28 + 64) + 8 * (32 + 76));
  assert.equal(numbers({ r: 32, decompose_both: true }), 28 * 64 + 32 * (32 + 76));
  assert.equal(numbers({ r: 8, decompose_factor: 4 }), 4 * 4 + 8 * (224 + 1216));
  assert.equal(numbers({ r: 700, decompose_factor: 4 }), 4 * 4 + 224 * 1216);

  const method = attach({ r: 2, rank_pattern: { 'layers.1.self_attn.q_proj': 64 }, alpha_pattern: { v_proj: 3 } });
  // q is [32, 32], of 4·8 both.
  assert.deepEqual(endings(method, 'model.layers.0.self_attn.q_proj'), ['w1 4x4', 'w2_a 8x2', 'w2_b 2x8']);
  assert.deepEqual(endings(method, 'model.layers.1.self_attn.q_proj'), ['w1 4x4', 'w2 8x8']);
  const scales = new Map(method.report!(randomValues(method)).map(({ path, scale }) => [path, scale]));
  assert.equal(scales.get('model.layers.1.self_attn.q_proj'), 8 / 64);
  assert.equal(scales.get('model.layers.1.self_attn.v_proj'), 3 / 2);
  assert.equal(scales.get('model.layers.0.self_attn.q_proj'), 4);
});

for (const init of [true, 'lycoris'] as const) {
  test(`init_weights: ${String(init)} starts as the base, exactly, and what was zero moves at the first step`, async () => {
    const options = { r: 2, init_weights: init, decompose_both: true, rank_pattern: { q_proj: 1, k_proj: 64 } };
    const method = attach(options);
    const values = await startValues(method.trainables);
    const rows = await readInputIds(fixture('lokr/krona/logits.safetensors'));
    assert.deepEqual(await logitsOf(llama, rows, { method, values }), await logitsOf(llama, rows));
    const zeros = [...values].filter(([, data]) => data.every((each) => each === 0)).map(([name]) => name);
    const parts = init === true ? /lokr_w1(_a)?$/ : /lokr_w2(_b)?$/;
    assert.ok(zeros.length === method.coverage.modules.length && zeros.every((name) => parts.test(name)));
    for (const [name, data] of values) {
      if (zeros.includes(name)) continue;
      const { shape } = method.trainables.find(({ variable }) => variable.name === name)!.variable;
      const bound = 1 / Math.sqrt(Number(shape[1]));
      assert.ok(data.every((each) => Math.abs(each) <= bound) && data.some((each) => Math.abs(each) > bound / 3));
    }
    const { values: after } = await run(llama, { method: optionsOf(options), options: { max_steps: 1 } });
    for (const name of zeros)
      assert.ok(
        after.get(name)!.some((each) => each !== 0),
        name,
      );
  });
}

test('init_weights: false starts as another model', async () => {
  const method = attach({ r: 2, init_weights: false });
  const values = await startValues(method.trainables);
  assert.ok([...values.values()].every((data) => data.some((each) => each !== 0)));
});

test('a run lowers the loss and reports rank, scale and norm', async () => {
  const { events, reason } = await run(llama, {
    method: optionsOf({ r: 2 }),
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 0.02, max_steps: 20, eval_steps: 20 },
  });
  assert.equal(reason, 'completed');
  const told = eventsOf(events, 'ranks').at(-1)!.sites;
  // q: rank 4 of w1 times rank 2 of w2.
  assert.ok(told.length === 14 && told.every(({ scale, norm }) => scale === 4 && norm! > 0));
  assert.equal(told.find(({ path }) => path.endsWith('q_proj'))!.rank, 4 * 2);
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < losses[0]!, losses.join());
});

test('dropout takes rows of the update away, the same of all tokens, or the whole update', async () => {
  const runtime = await onnxRuntime({ threads: 1 });
  const context = fakeContext([site('linear', 'model.layers.0.q_proj', [64, 8])]);
  const [own] = context.model.sites;
  const ran = async (options: Partial<LokrOptions>, seed?: number): Promise<number[][]> => {
    const method = attach({ target_modules: ['q_proj'], r: 64, init_weights: false, ...options }, context);
    const x = constant(
      Float32Array.from({ length: 16 }, (_, at) => 1 + at),
      [1, 2, 8],
    );
    const zero = constant(new Float32Array(128), [1, 2, 64]);
    const phase = { dropoutSeed: seed === undefined ? undefined : input('seed', 'int32', []) };
    const y = method.hooks.output!(own!, x, zero, phase, { weight: constant(new Float32Array(512), [64, 8]) });
    const program = await runtime.compile({ y });
    const values = randomValues(method);
    const feeds = Object.fromEntries(
      method.trainables.map(({ variable: { name, shape } }) => [
        name,
        { dtype: 'float32' as const, shape: shape as number[], data: values.get(name)! },
      ]),
    );
    // Without dropout the graph has no seed to be fed.
    const drawn = { dtype: 'int32' as const, shape: [], data: Int32Array.of(seed ?? 0) };
    const found = await program.run(seed === undefined ? feeds : { ...feeds, seed: drawn });
    await program.dispose();
    const data = Array.from(found['y']!.data, Number);
    return [data.slice(0, 64), data.slice(64)];
  };
  const plain = await ran({}, 1);
  assert.ok(plain.flat().every((each) => each !== 0));
  const rows = await ran({ rank_dropout: 0.5 }, 1);
  const kept = rows[0]!.map((each) => each !== 0);
  const count = kept.filter(Boolean).length;
  assert.ok(count > 16 && count < 48, String(count));
  for (const token of [0, 1]) {
    assert.deepEqual(
      rows[token],
      plain[token]!.map((each, at) => (kept[at]! ? each : 0)),
    );
  }
  const scaled = await ran({ rank_dropout: 0.5, rank_dropout_scale: true }, 1);
  const expected = rows.map((token) => token.map((each) => (each * 64) / count));
  assert.ok(
    largestDifference(scaled.flat(), expected.flat()) <= 1e-4 * Math.max(...expected.flat().map(Math.abs)),
  );
  const others = await ran({ rank_dropout: 0.5 }, 2);
  assert.notDeepEqual(
    others[0]!.map((each) => each !== 0),
    kept,
  );

  const whole = await Promise.all(Array.from({ length: 12 }, (_, seed) => ran({ module_dropout: 0.5 }, seed)));
  const left = whole.filter((found) => found.flat().some((each) => each !== 0));
  assert.ok(left.length > 1 && left.length < 12, String(left.length));
  for (const found of left) assert.deepEqual(found, plain);
  // Without training nothing is dropped.
  assert.deepEqual(await ran({ rank_dropout: 0.5, module_dropout: 0.5 }), plain);
});

test('options that cannot be, and options that do nothing', async () => {
  const gpt2 = await openModel(fixture('gpt2/tiny-gpt2'));
  assert.throws(() => attach({}, gpt2.context), problem('lokr.conv1d', 'Conv1D', 'Use lora'));
  assert.throws(() => attach({ target_modules: ['embed_tokens'] }), problem('targets.no-match', 'embed_tokens'));
  assert.throws(() => attach({ rank_pattern: { q_porj: 2 } }), problem('targets.idle-pattern', 'q_porj'));
  assert.throws(
    () => attach({ modules_to_save: ['k_proj'] }),
    problem('lora.twice', 'model.layers.0.self_attn.k_proj'),
  );
  const codes = (options: Partial<LokrOptions>): string[] =>
    attach(options).coverage.warnings.map(({ code }) => code);
  assert.deepEqual(codes({ decompose_both: true, r: 1 }), []);
  assert.deepEqual(codes({ decompose_both: true, r: 16 }), ['lokr.nothing-split']);
  assert.deepEqual(codes({ decompose_factor: 5 }), ['lokr.factor']);
  assert.deepEqual(codes({ decompose_factor: 0 }), ['lokr.factor']);
  assert.deepEqual(codes({ decompose_factor: 4 }), []);
  const small = fakeContext(smallSites());
  assert.deepEqual(attach({ target_modules: ['v_proj'] }, small).coverage.warnings, []);
});

test('a name of the paper leads to it', () => {
  for (const type of ['krona', 'KronA', 'kronA', 'LoKr', 'lokr_']) {
    const { problems } = parseRunFile(`model: a\ndata: { train: b.jsonl }\nmethod: { type: ${type} }\n`, 'a.yaml');
    const [found] = problems;
    assert.equal(found?.mend, 'Did you mean `lokr`?', type);
    assert.equal(found.replacement, 'lokr');
  }
  const { problems } = parseRunFile(
    'model: a\ndata: { train: b.jsonl }\nmethod: { type: lokr, rank: 4, use_effective_conv2d: true }\n',
    'a.yaml',
  );
  assert.deepEqual(
    problems.map(({ code, mend }) => [code, mend]),
    [
      ['config.unknown-key', 'Did you mean `r`?'],
      ['config.ignored-key', 'Remove the key.'],
    ],
  );
});

test('configs of PEFT: convolutions do not matter, keys that would change the arithmetic are refused', () => {
  const { options, warnings } = lokrConfigFromPeft({ peft_type: 'LOKR', use_effective_conv2d: true }, 'x');
  assert.deepEqual([options, warnings], [optionsOf(), []]);
  assert.throws(
    () => lokrConfigFromPeft({ peft_type: 'LOKR', full_matrix: true }, 'x'),
    problem('adapter.config'),
  );
  assert.throws(() => lokrConfigFromPeft({ peft_type: 'LOKR', r: 0 }, 'x'), problem('adapter.config', 'r: 0'));
});

test('tensors that do not go together are told, and refused', async () => {
  const adapter = await readAdapter(fixture('lokr', 'second-split'));
  const codes = async (tensors: typeof adapter.tensors, config = adapter.config): Promise<string[]> => {
    const { problems } = await lokr.peft!.inspect({ ...adapter, tensors, config });
    return problems.map(({ code }) => code);
  };
  assert.deepEqual(await codes(adapter.tensors), []);
  const key = 'base_model.model.model.layers.0.self_attn.q_proj.lokr_w2_a';
  const without = new Map([...adapter.tensors].filter(([name]) => name !== key));
  assert.deepEqual(await codes(without), ['adapter.shape']);
  assert.deepEqual(await codes(new Map([...adapter.tensors, [key, { shape: [8, 3], dtype: 'F32' }]])), [
    'adapter.shape',
  ]);
  // Another rank than the config's: of every module.
  assert.equal((await codes(adapter.tensors, { ...adapter.config, r: 3 })).length, 14);
  const { unknown } = await lokr.peft!.inspect({
    ...adapter,
    tensors: new Map([...adapter.tensors, ['strange', { shape: [1], dtype: 'F32' }]]),
  });
  assert.deepEqual(unknown, ['strange']);
});
