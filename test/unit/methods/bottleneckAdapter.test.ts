import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { allLogits } from '../../../src/adapters/merging/logits.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { bottleneckForm, bottleneckSize } from '../../../src/methods/adapterOptions.js';
import { adapterConfigFromLibrary } from '../../../src/methods/adaptersConfig.js';
import { AdapterOptions, bottleneckAdapter } from '../../../src/methods/bottleneckAdapter.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { adapterFormat } from '../../../src/methods/registry.js';
import type { SublayerPlace } from '../../../src/models/site.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { fakeContext, randomValues, site } from './fakeModel.js';

const folder = temporaryFolder();

const BASES = {
  llama: fixture('lora-reference', 'tiny-llama'),
  gpt2: fixture('gpt2', 'tiny-gpt2'),
  bert: fixture('encoders', 'tiny-bert'),
  t5: fixture('t5', 'tiny-t5'),
};
const opened = {
  llama: await openModel(BASES.llama),
  gpt2: await openModel(BASES.gpt2),
  bert: await openModel(BASES.bert, { type: 'MASKED_LM' }),
  t5: await openModel(BASES.t5),
};
const ROWS = [
  [5, 6, 70, 12, 9],
  [81, 3, 3, 44, 60],
];

function optionsOf(options: Partial<AdapterOptions> = {}): AdapterOptions {
  return Value.Parse(AdapterOptions, { type: 'adapter', ...options });
}

function attach(options: Partial<AdapterOptions>, context: AttachContext = opened.llama.context): Attached {
  return bottleneckAdapter.attach(optionsOf(options), context);
}

function trainable({ coverage }: Attached): number {
  return coverage.modules.reduce((sum, module) => sum + module.trainable, 0);
}

const KINDS = ['houlsby', 'pfeiffer', 'post-add', 'after-ln', 'parallel', 'learned', 'channel'];
for (const base of ['llama', 'gpt2', 'bert', 't5'] as const) {
  const kinds = base === 't5' ? ['houlsby', 'pfeiffer', 'parallel'] : KINDS;
  for (const kind of kinds.filter((each) => base === 'bert' || each !== 'post-add')) {
    test(`${kind} on ${base}: an adapter of the adapters library has its logits, and is written back as it was`, async () => {
      const source = fixture('adapters-library', base, kind);
      const file = `${source}/logits.safetensors`;
      const { method, values, warnings } = await attachAdapter(opened[base], source);
      assert.deepEqual(warnings, []);
      const rows = await readInputIds(file);
      const expected = (await readTensors(file)).get('logits')!.data;
      const found = await logitsOf(opened[base], rows, { method, values });
      const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
      const difference = largestDifference(found, expected);
      assert.ok(difference <= 2e-5 * largest, `${difference} of ${largest}`);
      assert.ok(largestDifference(await logitsOf(opened[base], rows), expected) > 1e-2, 'it changes something');

      const saved = method.save(values);
      assert.ok(saved.kind === 'adapter');
      const out = `${folder}/${base}-${kind}`;
      await writeAdapter(out, saved, { tokenizer, card: '' });
      const again = await readAdapter(out);
      assert.deepEqual(await again.loadTensors(), await (await readAdapter(source)).loadTensors());
      const { model_class: unwritten, ...config } = await readJson(`${source}/adapter_config.json`);
      assert.equal(typeof unwritten, 'string');
      const { config: inner, ...rest } = again.config;
      const { train_layer_norms: norms, ...written } = inner as JsonObject;
      assert.equal(norms, false);
      assert.deepEqual({ ...rest, config: written }, config);
    });
  }
}

test('a scaling that is a whole number is written as Python reads a float', async () => {
  const method = attach({ placement: 'parallel' });
  const saved = method.save(await startValues(method.trainables));
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(`${folder}/floats`, saved, { tokenizer, card: '' });
  assert.match(await readFile(`${folder}/floats/adapter_config.json`, 'utf8'), /"scaling": 4\.0,/);
});

test('at the start: parallel is the base, Houlsby close to it', async () => {
  for (const base of ['llama', 'bert'] as const) {
    const plain = await logitsOf(opened[base], ROWS);
    const largest = plain.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    const start = async (options: Partial<AdapterOptions>): Promise<number> => {
      const method = attach(options, opened[base].context);
      const found = await logitsOf(opened[base], ROWS, { method, values: await startValues(method.trainables) });
      return largestDifference(found, plain);
    };
    assert.equal(await start({ placement: 'parallel' }), 0);
    assert.equal(await start({ placement: 'houlsby', init_weights: 'mam_adapter' }), 0);
    const houlsby = await start({ placement: 'houlsby' });
    assert.ok(houlsby > 0 && houlsby < 1e-3 * largest, String(houlsby));
    assert.ok((await start({ placement: 'houlsby', init_weights: 'bert' })) > houlsby);
    assert.equal(await start({ placement: 'houlsby', scaling: 0 }), 0);
  }
});

test('what trains: 2dm + d + m values per adapter, and norms with Houlsby', () => {
  const width = 32;
  const each = (m: number): number => 2 * m * width + width + m;
  assert.equal(trainable(attach({})), 2 * each(2));
  assert.equal(trainable(attach({ bottleneck_size: 5 })), 2 * each(5));
  assert.equal(trainable(attach({ placement: 'parallel' })), 2 * each(16));
  assert.equal(trainable(attach({ placement: 'parallel', scaling: 'learned' })), 2 * (each(16) + 1));
  assert.equal(trainable(attach({ placement: 'parallel', scaling: 'channel' })), 2 * (each(16) + width));
  assert.equal(trainable(attach({ placement: 'houlsby', train_layer_norms: false })), 4 * each(2));
  assert.equal(trainable(attach({ placement: 'houlsby' })), 4 * each(2) + 5 * width);
  assert.equal(trainable(attach({ leave_out: [1], bottleneck_size: 3 })), each(3));
  assert.equal(trainable(attach({ reduction_factor: { 1: 4, default: 8 } })), each(4) + each(8));
  assert.equal(attach({}).merge, undefined);
});

test('the numbers of BERT-base in the papers', () => {
  const hidden = 768;
  const layers = Array.from({ length: 12 }, (_, layer) => layer);
  const norm = (path: string): ReturnType<typeof site> => site('norm', path, [hidden], { bias: `${path}.bias` });
  const context = fakeContext([
    norm('embeddings.LayerNorm'),
    ...layers.flatMap((layer) => [norm(`layers.${layer}.a.output`), norm(`layers.${layer}.output`)]),
  ]);
  const places = (kind: SublayerPlace['kind'], name: string): SublayerPlace[] =>
    layers.map((layer) => ({ kind, layer, path: `layers.${layer}.${name}` }));
  const sublayers = [...places('attention', 'a.output'), ...places('feed-forward', 'output')];
  const bert = { ...context, model: { ...context.model, hiddenSize: hidden, sublayers } };
  assert.equal(
    trainable(attach({ placement: 'houlsby', bottleneck_size: 64 }, bert)),
    2_379_264 + 25 * 2 * hidden,
  );
  assert.equal(trainable(attach({}, bert)), 894_528);
});

test('a bottleneck as large as was asked for, though width / size rounds', () => {
  for (let width = 1; width <= 300; width++) {
    for (let size = 1; size <= width; size++) {
      const { reduction_factor: factor } = bottleneckForm(
        'pfeiffer',
        { ...optionsOf(), bottleneck_size: size },
        width,
      );
      assert.equal(bottleneckSize(width, factor as number), size, `${width}, ${size}`);
    }
  }
  // As Python has them: 32 // 6.4, 1 // 0.1, 3 // 100.
  assert.deepEqual([bottleneckSize(32, 6.4), bottleneckSize(1, 0.1), bottleneckSize(3, 100)], [4, 9, 1]);
});

test('where weights start', async () => {
  const wide = (init: AdapterOptions['init_weights']): Promise<Map<string, Float32Array>> => {
    const method = attach({ init_weights: init!, reduction_factor: 0.25, scaling: 'channel' });
    return startValues(method.trainables);
  };
  const deviation = (values: Float32Array): number =>
    Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
  const at = 'model.layers.0.output_adapters.adapters.adapter';
  const parts = ['adapter_down.0.weight', 'adapter_up.weight'];
  for (const [init, expected] of [
    ['bert', [0.02, 0.02]],
    // Cut at two deviations.
    ['houlsby', [0.0088, 0.0088]],
    ['mam_adapter', [1 / Math.sqrt(3 * 32), 0]],
  ] as const) {
    const values = await wide(init);
    parts.forEach((part, index) => {
      const found = deviation(values.get(`${at}.${part}`)!);
      assert.ok(Math.abs(found - expected[index]!) <= 0.04 * expected[index]!, `${init} ${part}: ${found}`);
    });
    if (init === 'houlsby') assert.ok(values.get(`${at}.${parts[0]}`)!.every((value) => Math.abs(value) <= 0.02));
    assert.ok(
      ['adapter_down.0.bias', 'adapter_up.bias'].every((end) => values.get(`${at}.${end}`)!.every((b) => b === 0)),
    );
    assert.ok(values.get(`${at}.scaling`)!.every((each) => each === 1));
  }
});

test('norms train with Houlsby, are saved under the names of the model, and loaded again', async () => {
  for (const base of ['llama', 'bert'] as const) {
    const options = optionsOf({ placement: 'houlsby' });
    const method = bottleneckAdapter.attach(options, opened[base].context);
    const start = await startValues(method.trainables);
    const values = new Map(
      [...start].map(([name, data]) => [name, data.map((each, index) => each + 0.1 * Math.sin(index))]),
    );
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const norm = base === 'llama' ? 'model.norm.weight' : 'bert.encoder.layer.1.output.LayerNorm.bias';
    assert.ok(saved.tensors.some(({ name }) => name === norm));
    const out = `${folder}/norms-${base}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const loaded = await attachAdapter(opened[base], out);
    const expected = await logitsOf(opened[base], ROWS, { method, values });
    assert.deepEqual(await logitsOf(opened[base], ROWS, loaded), expected);
    const inspected = await inspectAdapter(out);
    assert.deepEqual(inspected.problems, []);
    assert.ok(inspected.whole.some(({ key }) => key === norm));
    assert.equal(inspected.trainable, trainable(method));
  }
});

for (const [name, options] of Object.entries<Partial<AdapterOptions>>({
  pfeiffer: { bottleneck_size: 8 },
  houlsby: { placement: 'houlsby', bottleneck_size: 8, dropout: 0.1 },
  parallel: { placement: 'parallel', scaling: 'learned' },
})) {
  test(`a run lowers the loss and moves only what should: ${name}`, async () => {
    const { events, reason, values } = await run(opened.llama, {
      method: optionsOf(options),
      validation: UNEVEN,
      options: { per_device_train_batch_size: 4, learning_rate: 1e-2, max_steps: 20, eval_steps: 20 },
    });
    assert.equal(reason, 'completed');
    const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
    assert.ok(losses.at(-1)! < 0.9 * losses[0]!, losses.join());
    assert.equal(values.has('model.norm.weight'), name === 'houlsby');
    if (name === 'houlsby') {
      assert.notDeepEqual(values.get('model.norm.weight'), await opened.llama.context.read('model.norm.weight'));
    }
    const reported = eventsOf(events, 'ranks').at(-1)!;
    assert.ok(reported.sites.every(({ norm }) => norm! > 0));
  });
}

test('the report: size, scale, and the norm of s·W_up·W_down', async () => {
  const { method, values } = await attachAdapter(opened.llama, fixture('adapters-library/llama/channel'));
  const [first] = method.report!(values);
  const at = 'model.layers.0.attention_adapters.adapters.channel';
  const [down, up, scales] = ['adapter_down.0.weight', 'adapter_up.weight', 'scaling'].map((end) =>
    values.get(`${at}.${end}`)!,
  );
  let sum = 0;
  for (let row = 0; row < 32; row++) {
    for (let column = 0; column < 32; column++) {
      let entry = 0;
      for (let k = 0; k < 4; k++) entry += up![4 * row + k]! * down![32 * k + column]!;
      sum += entry ** 2;
    }
  }
  const scale = scales!.reduce((total, each) => total + each, 0) / 32;
  assert.equal(first!.path, 'model.layers.0.self_attn');
  assert.deepEqual([first!.rank, first!.scale], [4, scale]);
  assert.ok(Math.abs(first!.norm! - scale * Math.sqrt(sum)) <= 1e-4 * first!.norm!);
});

test('an adapter of the bare backbone, whose names lack the first part, is read', async () => {
  const source = await readAdapter(fixture('adapters-library/gpt2/pfeiffer'));
  const tensors = await source.loadTensors();
  const bare = new Map([...tensors].map(([key, tensor]) => [key.replace('transformer.', ''), tensor]));
  const { options } = adapterConfigFromLibrary(source.config, 'file');
  const method = bottleneckAdapter.attach(options, opened.gpt2.context);
  assert.deepEqual(method.load(bare, 'file'), method.load(tensors, 'file'));
  bare.delete('h.1.output_adapters.adapters.pfeiffer.adapter_up.bias');
  assert.throws(() => method.load(bare, 'file'), problem('adapter.keys', 'h.1.output_adapters'));
});

test('options that cannot be', () => {
  assert.throws(() => attach({ leave_out: [0, 1] }), problem('adapter.nowhere'));
  assert.throws(() => attach({ output_adapter: false }), problem('adapter.nowhere'));
  assert.throws(() => attach({ cross_adapter: true, output_adapter: false }), problem('adapter.nowhere'));
  assert.throws(() => attach({ reduction_factor: { 0: 4 } }), problem('adapter.reduction-factor', 'layer 1'));
  const codes = attach({ leave_out: [7], reduction_factor: { 9: 2, default: 4 } }).coverage.warnings;
  assert.deepEqual(
    codes.map(({ code }) => code),
    ['adapter.no-such-layer', 'adapter.no-such-layer'],
  );
  for (const name of ['a.b', 'a,b', 'a b', '', 'a/b']) {
    assert.equal(Value.Check(AdapterOptions, { ...optionsOf(), name }), false, name);
  }
});

test("configs of the library that need what is not here are refused; the library's defaults are filled in", async () => {
  const config = await readJson(fixture('adapters-library/llama/pfeiffer/adapter_config.json'));
  const changed = (more: JsonObject): JsonObject => ({
    ...config,
    config: { ...(config['config'] as JsonObject), ...more },
  });
  const refused: JsonObject[] = [
    { ln_before: true },
    { ln_after: true },
    { use_gating: true },
    { phm_layer: true },
    { inv_adapter: 'nice' },
    { original_ln_after: false },
    { non_linearity: 'leakyrelu' },
    { scaling: 'other' },
    { something_new: 3 },
  ];
  for (const more of refused) {
    assert.throws(
      () => adapterConfigFromLibrary(changed(more), 'x'),
      problem('adapter.config'),
      JSON.stringify(more),
    );
  }
  assert.throws(() => adapterConfigFromLibrary({ config: {} }, 'x'), problem('adapter.config'));
  const { options } = adapterConfigFromLibrary(
    { name: 'a', config: { mh_adapter: true, output_adapter: true, reduction_factor: 2, non_linearity: 'ReLU' } },
    'x',
  );
  const form = bottleneckForm(options.placement, options, 32);
  assert.deepEqual([form.original_ln_before, form.non_linearity, form.scaling], [false, 'relu', 1]);
  assert.equal(adapterFormat({ config: { architecture: 'lora' }, name: 'a' }), undefined);
});

test('inspecting', async () => {
  const found = await inspectAdapter(fixture('adapters-library/bert/houlsby'));
  assert.deepEqual(found.problems, []);
  assert.deepEqual(
    [found.method, found.base, found.modules.length, found.whole],
    ['bottleneck', 'tiny-bert', 4, []],
  );
  assert.deepEqual(
    [found.modules[0]!.a, found.modules[0]!.b],
    [
      [5, 32],
      [32, 5],
    ],
  );
  const adapter = await readAdapter(fixture('adapters-library/bert/houlsby'));
  const tensors = new Map(adapter.tensors);
  tensors.delete('bert.encoder.layer.0.output.adapters.houlsby.adapter_up.bias');
  tensors.set('bert.pooler.dense.weight', { ...tensors.values().next().value!, shape: [32, 32] });
  const inspected = await bottleneckAdapter.peft!.inspect({ ...adapter, tensors });
  assert.deepEqual(
    inspected.problems.map(({ code }) => code),
    ['adapter.shape'],
  );
  assert.deepEqual(inspected.unknown, ['bert.pooler.dense.weight']);
});

test('virtual variables of two adapters of a run do not share names, and their files do not show it', async () => {
  const context = { ...opened.llama.context, instance: '1:' };
  const method = bottleneckAdapter.attach(optionsOf(), context);
  assert.ok(method.trainables.every(({ variable }) => variable.name.startsWith('1:model.')));
  const saved = method.save(await startValues(method.trainables));
  assert.ok(saved.kind === 'adapter' && saved.tensors.every(({ name }) => name.startsWith('model.')));
  const values = randomValues(method);
  const tensors = method.save(values);
  assert.ok(tensors.kind === 'adapter');
  const loaded = method.load(new Map(tensors.tensors.map((each) => [each.name, each])), 'file');
  assert.deepEqual(loaded.values, values);
});

test('rows that name tasks: each task has an adapter of its own, in one batch as alone, and a folder of its own', async () => {
  const tasks = ['de.en', 'de,en', 'fr'];
  const context = { ...opened.llama.context, tasks };
  const method = bottleneckAdapter.attach(optionsOf({ bottleneck_size: 3 }), context);
  assert.deepEqual(method.tasks, tasks);
  assert.equal(trainable(method), 3 * 2 * (2 * 3 * 32 + 32 + 3));
  const values = new Map([...randomValues(method)].map(([name, data]) => [name, data.map((each) => 0.4 * each)]));
  const rows = [ROWS[0]!, ROWS[1]!, ROWS[0]!, ROWS[1]!];
  const rowTasks = [2, 0, 1, 1];
  const mixed = await allLogits({ ...opened.llama, methods: [method], values, rows, tasks: rowTasks });
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapters');
  assert.deepEqual([...saved.byTask.keys()], tasks);
  const each = mixed.length / rows.length;
  for (const [at, task] of rowTasks.entries()) {
    const out = `${folder}/task-${task}`;
    await writeAdapter(out, saved.byTask.get(tasks[task]!)!, { tokenizer, card: '', existing: 'replace' });
    const alone = await logitsOf(opened.llama, [rows[at]!], await attachAdapter(opened.llama, out));
    assert.ok(largestDifference(mixed.subarray(at * each, (at + 1) * each), alone) <= 1e-5, `row ${at}`);
  }
  assert.ok(largestDifference(mixed.subarray(0, each), mixed.subarray(2 * each, 3 * each)) > 1e-2, 'they differ');
  const names = [...saved.byTask.values()].map(({ config }) => config['name']);
  assert.deepEqual(names, ['de_en', 'de_en_2', 'fr']);
});

test("a batch of mixed tasks moves only the adapters of its rows' tasks", async () => {
  const tasks = ['a', 'b', 'c'];
  const method = bottleneckAdapter.attach(optionsOf({ bottleneck_size: 3 }), { ...opened.llama.context, tasks });
  const start = await startValues(method.trainables);
  const { values } = await run(opened.llama, {
    methods: [method],
    train: UNEVEN.map((example, at) => ({ ...example, task: at % 2 === 0 ? 0 : 2 })),
    options: { per_device_train_batch_size: 4, weight_decay: 0, max_steps: 2, learning_rate: 1e-2 },
  });
  for (const [name, data] of values) {
    const moved = data.some((value, at) => value !== start.get(name)![at]);
    assert.equal(moved, !name.includes('.adapters.b.'), name);
  }
});
