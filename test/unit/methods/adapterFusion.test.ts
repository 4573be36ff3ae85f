import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { findAdapter } from '../../../src/adapters/findAdapters.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import type { Example } from '../../../src/data/example.js';
import { adapterReader } from '../../../src/engines/adapterReader.js';
import {
  attachMethods,
  checkMethods,
  parameterCount,
  parameterNames,
  prepareMethods,
} from '../../../src/engines/session.js';
import { AdapterFusionOptions } from '../../../src/methods/adapterFusion.js';
import { AdapterOptions } from '../../../src/methods/bottleneckAdapter.js';
import { fusionFromLibrary } from '../../../src/methods/fusionConfig.js';
import type { AttachContext, Attached, GradientPasses, Prepared, Values } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { randomValues } from './fakeModel.js';

const folder = temporaryFolder();
const opened = {
  llama: await openModel(fixture('lora-reference', 'tiny-llama')),
  gpt2: await openModel(fixture('gpt2', 'tiny-gpt2')),
  bert: await openModel(fixture('encoders', 'tiny-bert'), { type: 'MASKED_LM' }),
};
const WIDTH = 32;
const ROWS = [
  [5, 6, 70, 12, 9],
  [81, 3, 3, 44, 60],
];
const SOURCES = fixture('adapters-library/llama/fusion');

function optionsOf(options: Partial<AdapterFusionOptions> = {}): AdapterFusionOptions {
  return Value.Parse(AdapterFusionOptions, { type: 'adapter_fusion', ...options });
}

const context: AttachContext = { ...opened.llama.context, readAdapter: adapterReader(SOURCES) };

const none = (): never => assert.fail('no pass is needed');
const PASSES: GradientPasses = {
  squaredGradients: none,
  summedGradients: none,
  fisher: none,
  rowGradients: none,
  hessianDiagonal: none,
  rowLosses: none,
};

function prepare(config: MethodConfig): Promise<(Prepared | undefined)[]> {
  return prepareMethods([config], context, () => PASSES);
}

/** A fusion of trained adapters. */
async function fused(options: Partial<AdapterFusionOptions> = {}): Promise<Attached> {
  const config = optionsOf({ adapters: ['task-a', 'task-b'], ...options });
  return attachMethods([config], context, await prepare(config))[0]!;
}

function trainable({ coverage }: Attached): number {
  return coverage.modules.reduce((sum, module) => sum + module.trainable, 0);
}

/** All tokens but the first are labels. */
function exampleOf(ids: readonly number[]): Example {
  return { ids: [...ids], supervised: ids.map((_, at) => (at > 0 ? 1 : 0)), file: 'rows', line: 1 };
}

for (const [base, kind] of [
  ['llama', 'fusion'],
  ['gpt2', 'fusion'],
  ['bert', 'fusion'],
  ['bert', 'fusion-before-ln'],
] as const) {
  test(`${kind} on ${base}: logits and attention are the adapters library's, and the folder is written back as it was`, async () => {
    const source = fixture('adapters-library', base, kind);
    const file = `${source}/logits.safetensors`;
    const { method, values, warnings } = await attachAdapter(opened[base], source);
    assert.deepEqual(warnings, []);
    const rows = await readInputIds(file);
    const expected = await readTensors(file);
    const logits = expected.get('logits')!.data;
    const largest = logits.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    const difference = largestDifference(await logitsOf(opened[base], rows, { method, values }), logits);
    assert.ok(difference <= 5e-5 * largest, `${difference} of ${largest}`);

    const evaluator = await createEvaluator({
      ...opened[base],
      methods: [method],
      positionLimit: 16,
      batchSize: 2,
    });
    await evaluator.evaluate(rows.map(exampleOf), values);
    const shares = method.observed!(evaluator.observed());
    await evaluator.dispose();
    for (const [name, { data }] of expected) {
      const [layer, place] = name.split('.');
      if (name === 'logits') continue;
      const at = opened[base].model.sublayers.find(
        (each) => each.layer === Number(layer) && (each.kind === 'attention') === (place === 'mh_adapter'),
      )!;
      const found = shares.filter(({ path }) => path === at.path).map(({ share }) => share);
      assert.ok(largestDifference(found, data) <= 1e-4, `${name}: ${found.join()} for ${data.join()}`);
    }

    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const out = `${folder}/${base}-${kind}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const again = await readAdapter(out);
    assert.deepEqual(await again.loadTensors(), await (await readAdapter(source)).loadTensors());
    assert.deepEqual(await readJson(`${out}/adapter_setup.json`), await readJson(`${source}/adapter_setup.json`));
    const written = again.config['fusion'] as JsonObject;
    const { model_class: unwritten, ...config } = await readJson(
      `${source}/${String(written['name'])}/adapter_fusion_config.json`,
    );
    assert.equal(typeof unwritten, 'string');
    assert.deepEqual(written, { ...config, config: { ...(config['config'] as JsonObject), dropout_prob: 0 } });
    const inspected = await inspectAdapter(out);
    assert.deepEqual([inspected.problems, inspected.method], [[], 'adapter_fusion']);
    const listed = await findAdapter(out);
    assert.deepEqual(
      [listed?.method, listed?.problem, listed?.trainable],
      ['adapter_fusion', undefined, inspected.trainable],
    );
  });
}

test('what trains: 3d² + 2d a place, static 2d² + 2d, shared by all layers once; the adapters not', async () => {
  assert.equal(trainable(await fused()), 2 * (3 * WIDTH ** 2 + 2 * WIDTH));
  assert.equal(trainable(await fused({ value: false })), 2 * (2 * WIDTH ** 2 + 2 * WIDTH));
  const shared = await fused({ share_layers: true });
  assert.equal(trainable(shared), 3 * WIDTH ** 2 + 2 * WIDTH);
  const saved = shared.save(randomValues(shared));
  assert.ok(saved.kind === 'adapter');
  const tensors = saved.parts!.flatMap((part) => part.tensors);
  const values = tensors.filter(({ name }) => name.endsWith('.value.weight'));
  assert.equal(values.length, 2);
  assert.deepEqual(values[0]!.data, values[1]!.data);
});

test('a fusion of one adapter starts as that adapter; equal adapters have equal shares', async () => {
  const one = await fused({ adapters: ['task-b'] });
  assert.equal(one.coverage.warnings[0]!.code, 'fusion.one');
  const alone = await attachAdapter(opened.llama, `${SOURCES}/task-b`);
  const expected = await logitsOf(opened.llama, ROWS, alone);
  const found = await logitsOf(opened.llama, ROWS, { method: one, values: await startValues(one.trainables) });
  assert.ok(largestDifference(found, expected) <= 1e-2, String(largestDifference(found, expected)));

  const twice = await fused({ adapters: ['task-a', 'task-a'] });
  const values = new Map(
    [...(await startValues(twice.trainables)), ...randomValues(twice)].filter(([name]) =>
      name.includes('fusion_layer'),
    ),
  );
  const evaluator = await createEvaluator({ ...opened.llama, methods: [twice], positionLimit: 64, batchSize: 2 });
  await evaluator.evaluate(UNEVEN, new Map([...(await startValues(twice.trainables)), ...values]));
  const shares = twice.observed!(evaluator.observed());
  await evaluator.dispose();
  assert.deepEqual(
    shares.map(({ adapter }) => adapter),
    ['task-a', 'task-a_2', 'task-a', 'task-a_2'],
  );
  assert.ok(shares.every(({ share }) => Math.abs(share - 0.5) < 1e-5));
});

test('the regulariser is λ·‖I − V‖² of all places, in the loss of the same step', async () => {
  const method = await fused({ regularization: 0.5 });
  const start = await startValues(method.trainables);
  const values = new Map(
    [...start].map(([name, data]) => [
      name,
      name.endsWith('.value.weight') ? data.map((each, at) => each + (at % 7) / 10) : data,
    ]),
  );
  const { events } = await run(opened.llama, {
    methods: [
      {
        ...method,
        trainables: method.trainables.map((each) => ({ ...each, start: () => values.get(each.variable.name)! })),
      },
    ],
    options: { max_steps: 1, per_device_train_batch_size: 2 },
  });
  let expected = 0;
  for (const [name, data] of values) {
    if (!name.endsWith('.value.weight')) continue;
    data.forEach((each, at) => (expected += 0.5 * (each - (at % (WIDTH + 1) === 0 ? 1 : 0)) ** 2));
  }
  const found = eventsOf(events, 'step')[0]!.terms!['identity']!;
  assert.ok(Math.abs(found - expected) <= 1e-4 * expected, `${found}, ${expected}`);
  assert.equal((await fused({ value: false })).regularizers!().length, 0);
  assert.equal((await fused({ regularization: 0 })).regularizers!().length, 0);
});

test('the fusion trains; the adapters stay bit for bit; shares are told at evaluations', async () => {
  const method = await fused();
  const start = await startValues(method.trainables);
  const { events, values, reason } = await run(opened.llama, {
    methods: [method],
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 1e-2, max_steps: 15, eval_steps: 15 },
  });
  assert.equal(reason, 'completed');
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < 0.95 * losses[0]!, losses.join());
  for (const [name, data] of start) {
    const distance: number = largestDifference(values.get(name)!, data);
    assert.equal(distance === 0, name.includes('.adapters.'), name);
  }
  const told = eventsOf(events, 'attention');
  assert.deepEqual(
    told.map(({ step }) => step),
    [0, 15],
  );
  for (const { sites } of told) {
    assert.equal(sites.length, 2 * 2);
    for (const path of new Set(sites.map((each) => each.path))) {
      const sum = sites.filter((each) => each.path === path).reduce((total, { share }) => total + share, 0);
      assert.ok(Math.abs(sum - 1) < 1e-5);
    }
  }
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(`${folder}/trained`, saved, { tokenizer, card: '' });
  const loaded = await attachAdapter(opened.llama, `${folder}/trained`);
  assert.equal(
    largestDifference(
      await logitsOf(opened.llama, ROWS, loaded),
      await logitsOf(opened.llama, ROWS, { method, values }),
    ),
    0,
  );
});

const TASKS = ['news', 'chat'];
const MIXED = UNEVEN.map((example, at) => ({ ...example, task: at % 2 }));

/** Both stages in one run. */
function staged(options: Partial<AdapterFusionOptions> = {}): Attached {
  return attachMethods([optionsOf({ bottleneck_size: 4, dropout: 0.1, ...options })], {
    ...opened.llama.context,
    tasks: TASKS,
  })[0]!;
}

const STAGES = {
  per_device_train_batch_size: 4,
  learning_rate: 1e-2,
  max_steps: 8,
  eval_steps: 2,
  save_steps: 1,
  save_total_limit: 100,
};

for (const stage1 of ['ST-A', 'MT-A'] as const) {
  const trainsBase = stage1 === 'MT-A';

  test(`one run trains the adapters of the tasks that rows name, then their fusion (${stage1})`, async () => {
    const method = staged({ stage1, stage1_share: 0.5 });
    const each = 2 * 4 * WIDTH + WIDTH + 4;
    const base = trainsBase ? parameterCount(opened.llama.model) : 0;
    assert.equal(trainable(method), base + 2 * 2 * each + 2 * (3 * WIDTH ** 2 + 2 * WIDTH));
    const runFolder = `${folder}/staged-${stage1}`;
    const parts = { train: MIXED, validation: MIXED, checkpoints: { runFolder } };
    const { events, values } = await run(opened.llama, { methods: [method], ...parts, options: STAGES });
    const after = async (step: number): Promise<Values> =>
      (await readCheckpoint(checkpointFolder(runFolder, step))).snapshot.values;
    const kindOf = (name: string): string => {
      if (name.includes('fusion_layer')) return 'fusion';
      return name.includes('.adapters.') ? 'adapters' : 'base';
    };
    const moved = (before: Values, later: Values): string[] => [
      ...new Set(
        [...later]
          .filter(([name, data]) => largestDifference(data, before.get(name) ?? data.map(() => NaN)) !== 0)
          .map(([name]) => kindOf(name)),
      ),
    ];
    const [fourth, fifth] = [await after(4), await after(5)];
    assert.deepEqual(moved(await after(3), fourth).sort(), trainsBase ? ['adapters', 'base'] : ['adapters']);
    assert.ok(![...fourth.keys()].some((name) => name.includes('fusion_layer')));
    assert.deepEqual(moved(fifth, values), ['fusion']);
    assert.deepEqual(moved(fourth, fifth), ['fusion']);
    const told = eventsOf(events, 'attention');
    assert.deepEqual(
      told.map(({ step }) => step),
      [6, 8],
    );
    assert.deepEqual([...new Set(told[0]!.sites.map(({ task }) => task))], TASKS);
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    assert.deepEqual(
      saved.parts!.map((part) => part.folder),
      ['news', 'chat', 'news,chat'],
    );
    assert.deepEqual(
      saved.base?.map(({ name }) => name),
      trainsBase ? parameterNames(opened.llama.model) : undefined,
    );
    assert.equal('trained_base' in saved.config, trainsBase);
    assert.ok(saved.parts!.slice(0, 2).every(({ config }) => 'trained_base' in config === trainsBase));
  });

  test(`resumed in either stage: as if it had run through (${stage1})`, async () => {
    const parts = { train: MIXED, validation: MIXED, options: STAGES };
    const runFolder = `${folder}/through-${stage1}`;
    const whole = await run(opened.llama, { methods: [staged({ stage1 })], ...parts, checkpoints: { runFolder } });
    for (const step of [2, 4, 6]) {
      const from = await readCheckpoint(checkpointFolder(runFolder, step));
      const rest = await run(opened.llama, {
        methods: [staged({ stage1 })],
        ...parts,
        checkpoints: { runFolder: `${folder}/resumed-${stage1}-${step}`, from },
      });
      assert.deepEqual(rest.values, whole.values, `from step ${step}`);
      assert.deepEqual(rest.metrics, whole.metrics);
    }
  });
}

test('MT-A starts where ST-A starts: from the base as it is', async () => {
  const [along, frozen] = [staged({ stage1: 'MT-A', dropout: 0 }), staged({ dropout: 0 })];
  const [first, second] = await Promise.all(
    [along, frozen].map(async (method) =>
      logitsOf(opened.llama, ROWS, { method, values: await startValues(method.trainables) }),
    ),
  );
  assert.equal(largestDifference(first!, second!), 0);
});

test('stopped in the first stage, the adapters are what is saved', async () => {
  const method = staged();
  let stop = false;
  const { values, steps } = await run(opened.llama, {
    methods: [method],
    train: MIXED,
    options: { ...STAGES, eval_steps: 100 },
    emit: (event) => (stop ||= event.type === 'step' && event.step === 2),
    stopRequested: () => stop,
  });
  assert.equal(steps, 2);
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapters');
  assert.deepEqual([...saved.byTask.keys()], TASKS);
});

test('what cannot be fused is refused', async () => {
  const refused = (adapters: string[]): Promise<unknown> => prepare(optionsOf({ adapters }));
  await assert.rejects(refused([fixture('lora-reference/peft-adapter')]), problem('fusion.source'));
  await assert.rejects(refused(['nowhere']), problem('adapter.folder-not-found'));
  const norms = attachMethods(
    [Value.Parse(AdapterOptions, { type: 'adapter', placement: 'houlsby' })],
    opened.llama.context,
  )[0]!;
  const saved = norms.save(await startValues(norms.trainables));
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(`${folder}/norms`, saved, { tokenizer, card: '' });
  await assert.rejects(refused([`${folder}/norms`]), problem('fusion.source', 'train_layer_norms: false'));
  await assert.rejects(
    refused(['task-a', fixture('adapters-library/llama/parallel')]),
    problem('fusion.unlike', 'parallel'),
  );
  await assert.rejects(refused(['task-a', fixture('adapters-library/llama/after-ln')]), problem('fusion.unlike'));
  assert.throws(
    () => checkMethods([optionsOf({ adapters: ['a'], bottleneck_size: 3 })], context),
    problem('fusion.idle-option', 'bottleneck_size'),
  );
  for (const idle of [
    { dropout: 0.1 },
    { leave_out: [0] },
    { placement: 'houlsby' as const },
    { stage1_share: 0.3 },
    { stage1: 'MT-A' as const },
  ]) {
    assert.throws(
      () => checkMethods([optionsOf({ adapters: ['a'], ...idle })], context),
      problem('fusion.idle-option', Object.keys(idle)[0]!),
    );
  }
  checkMethods([optionsOf({ adapters: ['a'] })], context);
  assert.throws(() => attachMethods([optionsOf({ adapters: ['a'] })], context), problem('method.not-prepared'));
  // Adapters of other models: other layers, other paths.
  const shallow = { ...opened.llama.model, sublayers: opened.llama.model.sublayers.slice(0, 2) };
  const passes = () => PASSES;
  await assert.rejects(
    prepareMethods([optionsOf({ adapters: ['task-a'] })], { ...context, model: shallow }, passes),
    problem('adapter.keys', 'layers.1'),
  );
  await assert.rejects(
    refused([fixture('adapters-library/gpt2/pfeiffer')]),
    problem('adapter.keys', 'transformer.h.0'),
  );
  const parallel = await fused({ adapters: [fixture('adapters-library/llama/parallel')] });
  assert.deepEqual(
    parallel.coverage.warnings.map(({ code }) => code),
    ['fusion.parallel', 'fusion.one'],
  );
});

test("a fusion's config that would change the arithmetic is refused", async () => {
  const { config } = await readAdapter(SOURCES);
  const changed = (more: JsonObject): JsonObject => {
    const own = config['fusion'] as JsonObject;
    return { ...config, fusion: { ...own, config: { ...(own['config'] as JsonObject), ...more } } };
  };
  const refused: JsonObject[] = [
    { key: false },
    { query: false },
    { temperature: true },
    { residual_before: true },
    { other: 1 },
  ];
  for (const more of refused) {
    assert.throws(() => fusionFromLibrary(changed(more), 'x'), problem('adapter.config'));
  }
  assert.equal(fusionFromLibrary(changed({ value_before_softmax: false }), 'x').options.value, true);
  assert.throws(() => fusionFromLibrary({}, 'x'), problem('adapter.config'));
});

test('a setup that is no fusion, or whose parts lie elsewhere, is refused', async () => {
  const written = async (name: string, setup: object): Promise<string> => {
    await mkdir(`${folder}/${name}`);
    await writeFile(`${folder}/${name}/adapter_setup.json`, JSON.stringify({ adapter_setup: setup }));
    return `${folder}/${name}`;
  };
  const single = (name: unknown): object => ({ type: 'single', children: [name] });
  const setups: [string, object][] = [
    ['stack', { type: 'Stack', children: [single('a')] }],
    ['outside', { type: 'Fuse', children: [single('../a'), single('b')] }],
    ['above', { type: 'Fuse', children: [single('..')] }],
    ['number', { type: 'Fuse', children: [single(3)] }],
    ['empty', { type: 'Fuse', children: [] }],
    ['nested', { type: 'Fuse', children: [{ type: 'Stack', children: [single('a')] }] }],
  ];
  for (const [name, setup] of setups) {
    await assert.rejects(readAdapter(await written(name, setup)), problem('adapter.setup'), name);
  }
});
