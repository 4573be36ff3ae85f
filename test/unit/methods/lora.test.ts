import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Problem } from '../../../src/common/problem.js';
import { attachMethods } from '../../../src/engines/session.js';
import { lora } from '../../../src/methods/lora.js';
import type { LoraOptions } from '../../../src/methods/lora.js';
import type { Attached, NamedTensor, Values } from '../../../src/methods/method.js';
import type { Site } from '../../../src/models/site.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import { input } from '../../../src/tensor/tensor.js';
import { problem } from '../../support/adapters.js';
import { largestDifference } from '../../support/fixtures.js';
import { attachLora, fakeContext, loraOptions, randomValues, site, smallSites, starts } from './fakeModel.js';

const codes = (problems: readonly Problem[]): string[] => problems.map(({ code }) => code);
const Q = 'model.layers.0.q_proj';
const EMBEDDING = 'model.embed_tokens';

/** [out, in] = [256, 512], so that statistics mean something. */
const wide = fakeContext([site('linear', 'wide', [256, 512]), site('embedding', 'table', [1024, 64])]);

function meanAndDeviation(values: Float32Array): [number, number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [mean, Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)];
}

async function start(options: Parameters<typeof attachLora>[0], name: string): Promise<Float32Array> {
  return (await starts(attachLora({ r: 16, ...options }, wide))).get(name)!;
}

/** U(−bound, bound): all within, both ends reached, deviation bound/√3. */
function assertUniform(values: Float32Array, bound: number): void {
  assert.ok(values.every((value) => Math.abs(value) <= bound));
  assert.ok(Math.max(...values) > 0.99 * bound && Math.min(...values) < -0.99 * bound);
  const [mean, deviation] = meanAndDeviation(values);
  assert.ok(Math.abs(mean) < 0.05 * bound, `mean ${mean}`);
  assert.ok(Math.abs(deviation - bound / Math.sqrt(3)) < 0.03 * bound, `deviation ${deviation}`);
}

function assertNormal(values: Float32Array, deviation: number): void {
  const [mean, found] = meanAndDeviation(values);
  assert.ok(Math.abs(mean) < 0.05 * deviation && Math.abs(found - deviation) < 0.05 * deviation);
  const within = values.filter((value) => Math.abs(value) < deviation).length / values.length;
  assert.ok(Math.abs(within - 0.6827) < 0.03, `${within} within one deviation`);
}

test('init true: A Kaiming uniform with slope √5, which is 1/√in; B zero', async () => {
  const a = await start({ target_modules: ['wide'] }, 'wide.lora_A');
  assert.equal(a.length, 16 * 512);
  assertUniform(a, 1 / Math.sqrt(512));
  const b = await start({ target_modules: ['wide'] }, 'wide.lora_B');
  assert.deepEqual(b, new Float32Array(256 * 16));
});

test('init gaussian: A normal with deviation 1/r, B zero', async () => {
  const options: Partial<LoraOptions> = { target_modules: ['wide'], init_lora_weights: 'gaussian' };
  assertNormal(await start(options, 'wide.lora_A'), 1 / 16);
  assert.ok((await start(options, 'wide.lora_B')).every((value) => value === 0));
});

test('init false: A and B both Kaiming uniform', async () => {
  const options = { target_modules: ['wide'], init_lora_weights: false };
  assertUniform(await start(options, 'wide.lora_A'), 1 / Math.sqrt(512));
  assertUniform(await start(options, 'wide.lora_B'), 1 / Math.sqrt(16));
});

test('an embedding starts the other way round: A zero, B normal', async () => {
  for (const init_lora_weights of [true, 'gaussian'] as const) {
    const options = { target_modules: ['table'], init_lora_weights };
    assert.deepEqual(await start(options, 'table.lora_embedding_A'), new Float32Array(16 * 1024));
    assertNormal(await start(options, 'table.lora_embedding_B'), 1);
  }
  const both = { target_modules: ['table'], init_lora_weights: false };
  assertNormal(await start(both, 'table.lora_embedding_A'), 1);
});

test('one seed gives one start, modules and seeds differ', async () => {
  const at = async (seed: number): Promise<Map<string, Float32Array>> =>
    starts(attachLora({}, fakeContext(smallSites(), { seed })));
  const [first, again, other] = [await at(1), await at(1), await at(2)];
  assert.deepEqual(first, again);
  const name = `${Q}.lora_A`;
  assert.notDeepEqual(first.get(name), other.get(name));
  assert.notDeepEqual(first.get(name), first.get('model.layers.1.q_proj.lora_A'));
});

test('rank_pattern, alpha_pattern and use_rslora decide rank and scale of each module', () => {
  const options = {
    r: 4,
    lora_alpha: 12,
    rank_pattern: { 'layers.1.q_proj': 9, v_proj: 2 },
    alpha_pattern: { v_proj: 5 },
  };
  const report = (use_rslora: boolean): unknown[] => {
    const method = attachLora({ ...options, use_rslora });
    return method.report!(randomValues(method)).map(({ path, rank, scale }) => [path, rank, scale]);
  };
  assert.deepEqual(report(false), [
    ['model.layers.0.q_proj', 4, 3],
    ['model.layers.0.v_proj', 2, 2.5],
    ['model.layers.1.q_proj', 9, 12 / 9],
    ['model.layers.1.v_proj', 2, 2.5],
  ]);
  assert.deepEqual(report(true), [
    ['model.layers.0.q_proj', 4, 6],
    ['model.layers.0.v_proj', 2, 5 / Math.sqrt(2)],
    ['model.layers.1.q_proj', 9, 4],
    ['model.layers.1.v_proj', 2, 5 / Math.sqrt(2)],
  ]);
});

test('★5 a pattern key that matches nothing stops the run', () => {
  assert.throws(
    () => attachLora({ rank_pattern: { '^q_proj': 4 } }),
    problem('targets.idle-pattern', "'^q_proj' of rank_pattern"),
  );
  assert.throws(
    () => attachLora({ target_modules: ['q_proj'], alpha_pattern: { v_proj: 4 } }),
    problem('targets.idle-pattern', "'v_proj' of alpha_pattern"),
  );
});

test('modules_to_save are endings of paths wherever they begin, as in PEFT; target_modules begin behind a dot', () => {
  const sites = [...smallSites(), site('norm', 'model.layers.0.input_layernorm', [8])];
  const method = attachLora({ target_modules: ['q_proj'], modules_to_save: ['layernorm'] }, fakeContext(sites));
  assert.equal(method.coverage.modules.at(-1)!.path, 'model.layers.0.input_layernorm.weight');
  assert.throws(
    () => attachLora({ target_modules: ['_proj'] }, fakeContext(sites)),
    problem('targets.no-match', '_proj'),
  );
});

test('coverage counts what trains', () => {
  const { coverage, trainables } = attachLora({
    r: 2,
    target_modules: ['q_proj'],
    bias: 'lora_only',
    modules_to_save: ['lm_head'],
  });
  assert.deepEqual(coverage.targets, [{ entry: 'q_proj', matched: 2 }]);
  assert.deepEqual(
    coverage.modules.map(({ path, trainable }) => [path, trainable]),
    [
      ['model.layers.0.q_proj', 2 * (8 + 6)],
      ['model.layers.1.q_proj', 2 * (8 + 6)],
      ['model.layers.0.q_proj.bias', 6],
      ['model.layers.1.q_proj.bias', 6],
      ['lm_head.weight', 128],
    ],
  );
  const elements = trainables.reduce(
    (sum, { variable }) => sum + variable.shape.reduce<number>((a, b) => a * (b as number), 1),
    0,
  );
  assert.equal(
    coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
    elements,
  );
  assert.equal(coverage.layersCovered, 2);
  assert.equal(attachLora({ target_modules: ['lm_head'] }).coverage.layersCovered, 0);
  assert.match(coverage.saves, /adapter_model\.safetensors with 7 tensors/);
});

test('biases and whole modules start from the base; weights decay, biases do not', async () => {
  const method = attachLora({ target_modules: ['v_proj'], bias: 'all', modules_to_save: ['lm_head'] });
  const values = await starts(method);
  assert.deepEqual(values.get('model.layers.0.norm.bias'), Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  assert.deepEqual([...values.get('lm_head.weight')!.slice(0, 3)], [1, 2, 3]);
  const decays = new Map(method.trainables.map(({ variable, decays: each }) => [variable.name, each]));
  assert.deepEqual(
    ['lm_head.weight', `${Q}.bias`, 'model.layers.0.norm.bias', 'model.layers.0.v_proj.lora_B'].map((name) =>
      decays.get(name),
    ),
    [true, false, false, true],
  );
});

test('a module cannot be adapted and trained whole; an unknown one is named', () => {
  const twice = () => attachLora({ target_modules: ['q_proj', 'lm_head'], modules_to_save: ['lm_head'] });
  assert.throws(twice, problem('lora.twice', 'lm_head', 'exclude_modules'));
  assert.throws(
    () => attachLora({ modules_to_save: ['classifier'] }),
    problem('targets.no-match', "'classifier' of modules_to_save", 'lm_head'),
  );
});

test('★21 what touches a tied matrix is said', () => {
  const tied = fakeContext(smallSites(), { tiedHead: true });
  const warned = (options: Parameters<typeof attachLora>[0], context = tied): readonly Problem[] =>
    attachLora({ r: 4, ...options }, context).coverage.warnings;
  for (const options of [
    { target_modules: ['lm_head'] },
    { target_modules: ['embed_tokens'] },
    { target_modules: ['q_proj'], modules_to_save: ['embed_tokens'] },
  ]) {
    assert.deepEqual(codes(warned(options)), ['lora.tied']);
    assert.deepEqual(warned(options, fakeContext(smallSites())), []);
  }
  assert.match(warned({ target_modules: ['embed_tokens', 'lm_head'] })[0]!.message, /embed_tokens and lm_head/);
  assert.deepEqual(warned({ target_modules: ['q_proj'] }), []);
});

test('a bias option that finds no bias is said', () => {
  assert.deepEqual(codes(attachLora({ r: 4, target_modules: ['v_proj'], bias: 'lora_only' }).coverage.warnings), [
    'lora.no-bias',
  ]);
  assert.deepEqual(attachLora({ r: 4, target_modules: ['q_proj'], bias: 'lora_only' }).coverage.warnings, []);
  const none = fakeContext(smallSites().map((each) => ({ ...each, bias: undefined })));
  assert.deepEqual(codes(attachLora({ r: 4, bias: 'all' }, none).coverage.warnings), ['lora.no-bias']);
});

/** s · B·A by its definition, [out, in]. */
function explicitDelta(
  values: Values,
  path: string,
  [out, inSize]: [number, number],
  r: number,
  s: number,
): number[] {
  const [a, b] = [values.get(`${path}A`)!, values.get(`${path}B`)!];
  return Array.from({ length: out * inSize }, (_, at) => {
    const [i, j] = [Math.floor(at / inSize), at % inSize];
    let sum = 0;
    for (let k = 0; k < r; k++) sum += b[i * r + k]! * a[k * inSize + j]!;
    return s * sum;
  });
}

function merged(method: Attached, at: Site, base: Float32Array, values: Values): Float32Array {
  return method.merge!(at, 'weight', base, values)!;
}

test("merge: W + s·B·A for a linear, W + s·(B·A)ᵀ for an embedding; the report's norm is that of ΔW", () => {
  const context = fakeContext(smallSites());
  const method = attachLora({ target_modules: ['q_proj', 'embed_tokens'], r: 3, lora_alpha: 5 }, context);
  const values = randomValues(method);
  const [embedding, , q] = context.model.sites as [Site, Site, Site];
  assert.deepEqual([embedding.path, q.path], [EMBEDDING, Q]);
  const norms = new Map(method.report!(values).map(({ path, norm }) => [path, norm!]));

  const base = Float32Array.from({ length: 48 }, (_, at) => at);
  const delta = explicitDelta(values, `${Q}.lora_`, [6, 8], 3, 5 / 3);
  const expected = Float32Array.from(delta, (value, at) => base[at]! + value);
  assert.ok(largestDifference(merged(method, q, base, values), expected) <= 1e-5);
  assert.ok(Math.abs(norms.get(Q)! - Math.hypot(...delta)) <= 1e-6 * Math.hypot(...delta));

  const table = new Float32Array(128);
  // [hidden, vocabulary]: the transpose of the embedding's own layout.
  const update = explicitDelta(values, `${EMBEDDING}.lora_embedding_`, [8, 16], 3, 5 / 3);
  const transpose = Float32Array.from({ length: 128 }, (_, at) => update[(at % 8) * 16 + Math.floor(at / 8)]!);
  assert.ok(largestDifference(merged(method, embedding, table, values), transpose) <= 1e-5);
  assert.ok(Math.abs(norms.get(EMBEDDING)! - Math.hypot(...update)) <= 1e-6 * Math.hypot(...update));
});

test('merge: W + s·(B·A)ᵀ for a Conv1D, whose A and B are those of any linear', () => {
  const conv1d = site('linear', 'h.0.c_attn', [6, 8], { layout: 'in-out' });
  const method = attachLora({ target_modules: ['c_attn'], r: 3, lora_alpha: 5 }, fakeContext([conv1d]));
  assert.deepEqual(
    method.trainables.map(({ variable }) => variable.shape),
    [
      [3, 8],
      [6, 3],
    ],
  );
  const values = randomValues(method);
  const delta = explicitDelta(values, 'h.0.c_attn.lora_', [6, 8], 3, 5 / 3);
  const base = Float32Array.from({ length: 48 }, (_, at) => at);
  // [in, out]: number at is row at / 6 and column at % 6.
  const expected = base.map((value, at) => value + delta[(at % 6) * 8 + Math.floor(at / 6)]!);
  assert.ok(largestDifference(merged(method, conv1d, base, values), expected) <= 1e-5);
});

test('a Conv1D that trains whole has the shape of the checkpoint', () => {
  const sites = [
    site('linear', 'h.0.c_attn', [6, 8], { layout: 'in-out', bias: 'h.0.c_attn.bias' }),
    site('linear', 'h.0.c_fc', [9, 8], { layout: 'in-out' }),
  ];
  const method = attachLora({ target_modules: ['c_fc'], modules_to_save: ['c_attn'] }, fakeContext(sites));
  const saved = method.save(randomValues(method));
  assert.ok(saved.kind === 'adapter');
  const shapes = new Map(saved.tensors.map(({ name, shape }) => [name, shape]));
  assert.deepEqual(shapes.get('base_model.model.h.0.c_attn.weight'), [8, 6]);
  assert.deepEqual(shapes.get('base_model.model.h.0.c_attn.bias'), [6]);
});

test('merge: whole modules and biases are replaced, all others stay', () => {
  const context = fakeContext(smallSites());
  const method = attachLora({ target_modules: ['v_proj'], bias: 'all', modules_to_save: ['lm_head'] }, context);
  const values = randomValues(method);
  const at = (path: string): Site => context.model.sites.find((each) => each.path === path)!;
  const merge = (path: string, kind: 'weight' | 'bias'): Float32Array | undefined =>
    method.merge!(at(path), kind, new Float32Array(6), values);
  assert.deepEqual(merge('lm_head', 'weight'), values.get('lm_head.weight'));
  assert.deepEqual(merge(Q, 'bias'), values.get(`${Q}.bias`));
  assert.equal(merge(Q, 'weight'), undefined);
  assert.equal(merge('model.layers.0.norm', 'weight'), undefined);
});

test("the keys are PEFT's", () => {
  const method = attachLora({
    target_modules: ['layers.0.q_proj', 'embed_tokens'],
    bias: 'all',
    modules_to_save: ['lm_head'],
  });
  const saved = method.save(randomValues(method));
  assert.ok(saved.kind === 'adapter');
  assert.deepEqual(saved.tensors.map(({ name }) => name).sort(), [
    'base_model.model.lm_head.weight',
    'base_model.model.model.embed_tokens.lora_embedding_A',
    'base_model.model.model.embed_tokens.lora_embedding_B',
    'base_model.model.model.layers.0.norm.bias',
    'base_model.model.model.layers.0.q_proj.base_layer.bias',
    'base_model.model.model.layers.0.q_proj.lora_A.weight',
    'base_model.model.model.layers.0.q_proj.lora_B.weight',
    'base_model.model.model.layers.1.norm.bias',
    'base_model.model.model.layers.1.q_proj.bias',
  ]);
});

function savedTensors(method: Attached, values: Values): Map<string, NamedTensor> {
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  return new Map(saved.tensors.map((tensor) => [tensor.name, tensor]));
}

test('what is saved loads; ★65 tied parts each under a key of their own', () => {
  const tied = fakeContext(smallSites(), { tiedHead: true });
  const method = attachLora({ target_modules: ['q_proj'], modules_to_save: ['embed_tokens', 'lm_head'] }, tied);
  const values = randomValues(method);
  const tensors = savedTensors(method, values);
  const { values: loaded, warnings } = method.load(tensors, 'file');
  assert.deepEqual(loaded, values);
  assert.deepEqual(warnings, []);
  assert.ok(tensors.has('base_model.model.lm_head.weight'));
  assert.ok(tensors.has('base_model.model.model.embed_tokens.weight'));
});

test('★14 keys with another prefix, missing and left over ones; ★38 other sizes', () => {
  const method = attachLora({ target_modules: ['q_proj', 'lm_head'], r: 2 });
  const tensors = savedTensors(method, randomValues(method));
  const [key] = tensors.keys();
  const renamed = new Map(
    [...tensors].map(([name, tensor]) => [name.replace('base_model.model.model.', 'base_model.model.'), tensor]),
  );
  assert.throws(
    () => method.load(renamed, 'adapter.safetensors'),
    problem('adapter.keys', "rename 'base_model.model.layers.0", "to 'base_model.model.model.layers.0"),
  );
  const fewer = new Map([...tensors].slice(1));
  assert.throws(() => method.load(fewer, 'f'), problem('adapter.keys', '1 missing', key!));
  const more = new Map([...tensors, ['base_model.model.x.lora_A.weight', tensors.get(key!)!]]);
  assert.throws(() => method.load(more, 'f'), problem('adapter.keys', '1 not used', 'base_model.model.x.lora_A'));
  const head = 'base_model.model.lm_head.lora_B.weight';
  const resized = new Map([...tensors, [head, { name: head, shape: [17, 2], data: new Float32Array(34) }]]);
  assert.throws(() => method.load(resized, 'f'), problem('adapter.shape', '[17, 2]', '[16, 2]', 'resize'));
});

test("a copy of the base's own matrix in the file is passed over with a warning", () => {
  const method = attachLora({ target_modules: ['lm_head'] });
  const values = randomValues(method);
  const copy = 'base_model.model.lm_head.base_layer.weight';
  const tensors = savedTensors(method, values).set(copy, { name: copy, shape: [1], data: Float32Array.of(0) });
  const { values: loaded, warnings } = method.load(tensors, 'f');
  assert.deepEqual(loaded, values);
  assert.deepEqual(codes(warnings), ['adapter.base-copy']);
});

// Dropout made visible: A and B are identities and y is 0, so the result is dropout(x).
const SIZE = 64;
const square = site('linear', 'square', [SIZE, SIZE]);
const runtime = await onnxRuntime({ threads: 1 });

async function dropped(method: Attached, seed: number | undefined, at = square): Promise<Float32Array> {
  const shape = [SIZE, SIZE];
  const [x, y] = [input('x', 'float32', shape), input('y', 'float32', shape)];
  const dropoutSeed = seed === undefined ? undefined : input('seed', 'int32', []);
  const own = { weight: input('w', 'float32', shape) };
  const program = await runtime.compile({ result: method.hooks.output!(at, x, y, { dropoutSeed }, own) });
  const identity = Float32Array.from({ length: SIZE * SIZE }, (_, at) => Number(at % (SIZE + 1) === 0));
  const value = (data: Float32Array): Value => ({ dtype: 'float32', shape, data });
  const feeds = {
    x: value(new Float32Array(SIZE * SIZE).fill(1)),
    y: value(new Float32Array(SIZE * SIZE)),
    ...Object.fromEntries(
      method.trainables
        .filter(({ variable }) => variable.name.includes(`${at.path}.`))
        .map(({ variable }) => [variable.name, value(identity)]),
    ),
    ...(seed === undefined ? {} : { seed: { dtype: 'int32' as const, shape: [], data: Int32Array.of(seed) } }),
  };
  const { result } = await program.run(feeds);
  await program.dispose();
  return result!.data as Float32Array;
}

const agreement = (a: Float32Array, b: Float32Array): number =>
  a.filter((value, at) => value === b[at]).length / a.length;

test('dropout: the share that is asked for, the rest scaled up, none outside of training', async () => {
  const options = loraOptions({ r: SIZE, lora_alpha: SIZE, lora_dropout: 0.25 });
  const [method] = attachMethods([options], fakeContext([square])) as [Attached];
  const found = await dropped(method, 7);
  assert.deepEqual([...new Set(found)].sort(), [0, Math.fround(1 / 0.75)]);
  const share = found.filter((value) => value === 0).length / found.length;
  assert.ok(Math.abs(share - 0.25) < 0.03, `${share} dropped`);
  assert.ok((await dropped(method, undefined)).every((value) => value === 1));
  assert.deepEqual(await dropped(method, 7), found, 'the same again');
  assert.ok(agreement(await dropped(method, 8), found) < 0.75, 'another step, another mask');
});

test('two modules share no dropout mask', async () => {
  const other = site('linear', 'other', [SIZE, SIZE]);
  const options = loraOptions({ r: SIZE, lora_alpha: SIZE, lora_dropout: 0.5 });
  const [method] = attachMethods([options], fakeContext([square, other])) as [Attached];
  const share = agreement(await dropped(method, 7), await dropped(method, 7, other));
  assert.ok(Math.abs(share - 0.5) < 0.06, `masks agree in ${share}`);
});

test('two methods on one site start apart and share no dropout mask', async () => {
  const options = loraOptions({ r: SIZE, lora_alpha: SIZE, lora_dropout: 0.5 });
  const [first, second] = attachMethods([options, options], fakeContext([square])) as [Attached, Attached];
  const [a, b] = [await dropped(first, 7), await dropped(second, 7)];
  assert.ok(Math.abs(agreement(a, b) - 0.5) < 0.06, `masks agree in ${agreement(a, b)}`);
  assert.notDeepEqual((await starts(first)).get('square.lora_A'), (await starts(second)).get('1:square.lora_A'));
});

test('two methods of a run have variables of their own, and the same names on disk', () => {
  const context = fakeContext(smallSites());
  const options = loraOptions({
    target_modules: ['q_proj', 'embed_tokens'],
    bias: 'all',
    modules_to_save: ['lm_head'],
  });
  // A run would refuse them: both train the head.
  const [first, second] = ['', '1:'].map((instance) => lora.attach(options, { ...context, instance })) as [
    Attached,
    Attached,
  ];
  const [own, other] = [first, second].map((each) => each.trainables.map(({ variable }) => variable.name));
  assert.deepEqual(
    other,
    own!.map((name) => `1:${name}`),
  );
  const values = randomValues(second, 2);
  const [theirs, tensors] = [savedTensors(first, randomValues(first)), savedTensors(second, values)];
  assert.deepEqual([...tensors.keys()], [...theirs.keys()]);
  assert.deepEqual(second.load(tensors, 'file').values, values);
  const head = context.model.sites.at(-1)!;
  const base = new Float32Array(128);
  assert.deepEqual(second.merge!(head, 'weight', base, values), values.get('1:lm_head.weight'));
});

test('in the config of an adapter on disk, patterns that match nothing are warnings', () => {
  const context = fakeContext(smallSites());
  const options: Partial<LoraOptions> = {
    target_modules: ['q_proj', 'query_key_value'],
    modules_to_save: ['classifier'],
    rank_pattern: { k_proj: 4 },
    alpha_pattern: { '^q_proj': 4 },
  };
  for (const [option, value] of Object.entries(options)) {
    assert.throws(() => attachLora({ target_modules: ['q_proj'], [option]: value }, context), /matches no/);
  }
  const { coverage } = attachLora(options, { ...context, idlePatterns: 'warning' });
  assert.deepEqual(codes(coverage.warnings), [
    'targets.no-match',
    'targets.idle-pattern',
    'targets.idle-pattern',
    'targets.no-match',
  ]);
  for (const [at, name] of ['query_key_value', 'k_proj', '^q_proj', 'classifier'].entries()) {
    const { severity, message, mend } = coverage.warnings[at]!;
    assert.equal(severity, 'warning');
    assert.ok(message.includes(`'${name}'`));
    assert.match(mend!, /^Nothing to do/);
  }
  assert.deepEqual(
    coverage.modules.map(({ path }) => path),
    ['model.layers.0.q_proj', 'model.layers.1.q_proj'],
  );
  const none = { target_modules: ['query_key_value', 'c_attn'] };
  assert.throws(
    () => attachLora(none, { ...context, idlePatterns: 'warning' }),
    problem('targets.no-match', 'query_key_value'),
  );
});

test('norms have no pair, whatever names them', () => {
  assert.throws(
    () => attachLora({ target_modules: ['norm'] }),
    problem('targets.no-match', 'that can be adapted', 'kind norm'),
  );
});
