import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { compareAdapters } from '../../../src/adapters/comparing/compareAdapters.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { readModelShape } from '../../../src/memory/readShape.js';
import { countTrained } from '../../../src/memory/trained.js';
import { plannedMethods } from '../../../src/engines/planned/plannedMethods.js';
import { attachMethods } from '../../../src/engines/session.js';
import { LotrOptions, lotr } from '../../../src/methods/lotr.js';
import { lotrConfigFromPeft } from '../../../src/methods/lotrConfig.js';
import type { AttachContext, Attached, NamedTensor, Values } from '../../../src/methods/method.js';
import { fixedSize } from '../../../src/tensor/dims.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { fakeContext, randomValues, site } from './fakeModel.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));

function optionsOf(options: Partial<LotrOptions> = {}): LotrOptions {
  return Value.Parse(LotrOptions, { type: 'lotr', ...options });
}

function attach(options: Partial<LotrOptions>, context: AttachContext = llama.context): Attached {
  return lotr.attach(optionsOf(options), context);
}

/** As a run of seed 1 attaches it: with the same random numbers. */
function inARun(options: Partial<LotrOptions>): Attached {
  return attachMethods([optionsOf(options)], llama.context)[0]!;
}

function trainableCount({ coverage }: Attached): number {
  return coverage.modules.reduce((sum, each) => sum + each.trainable, 0);
}

const CASES: Readonly<Record<string, Partial<LotrOptions>>> = {
  projection: { r: 3, scale: 1.5, target_modules: ['q_proj', 'v_proj', 'up_proj'] },
  shape: { r: 2, scale: 1.5, target_modules: ['q_proj', 'o_proj', 'down_proj'], share: 'shape' },
};

for (const [name, options] of Object.entries(CASES)) {
  for (const start of ['start', 'moved']) {
    const source = fixture('lotr', name, start);
    const loaded = async (): Promise<{ method: Attached; values: Values }> => {
      const method = attach(options);
      const tensors: ReadonlyMap<string, NamedTensor> = await readTensors(`${source}/initial.safetensors`);
      return { method, values: method.load(tensors, source).values };
    };

    test(`logits and five steps are torch's: ${name}, ${start}`, async () => {
      const adapter = await loaded();
      const file = `${source}/logits.safetensors`;
      const expected = (await readTensors(file)).get('logits')!.data;
      const rows = await readInputIds(file);
      assert.ok(largestDifference(await logitsOf(llama, rows, adapter), expected) <= 1e-4);
      assert.equal(largestDifference(await logitsOf(llama, rows), expected) > 0.1, start === 'moved');
      const errors = await repeatPeftSteps(llama, source, adapter, adapter.values);
      assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
      for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
      const wrong = await repeatPeftSteps(llama, source, adapter, adapter.values, 0.8);
      assert.ok([...wrong.changes.values()].every((distance) => distance > 0.1));
    });
  }
}

test('2·d·r + K·r² numbers: RoBERTa-base, queries and values in one container, rank 2: 3168', () => {
  const layers = Array.from({ length: 12 }, (_, layer) => layer);
  const context = fakeContext(
    layers.flatMap((layer) =>
      ['query', 'key', 'value'].map((name) =>
        site('linear', `roberta.encoder.layers.${layer}.attention.self.${name}`, [768, 768]),
      ),
    ),
  );
  const counted = (options: Partial<LotrOptions>): number =>
    trainableCount(attach({ r: 2, target_modules: ['query', 'value'], ...options }, context));
  assert.equal(counted({ share: 'shape' }), 3168);
  assert.equal(counted({ share: 'projection' }), 2 * 2 * 768 * 2 + 24 * 4);
  assert.equal(counted({ share: 'shape', train_factors: false }), 24 * 4);
});

test('modules share by name without the layer, or by shape alone; what they share is told', () => {
  const shared = (options: Partial<LotrOptions>, context = llama.context): [string, number][] =>
    attach(options, context).coverage.shared!.map(({ name, paths }) => [name, paths.length]);
  assert.deepEqual(shared({ target_modules: ['q_proj', 'k_proj', 'o_proj'] }), [
    ['model.layers.*.self_attn.q_proj (L, R)', 2],
    ['model.layers.*.self_attn.k_proj (L, R)', 2],
    ['model.layers.*.self_attn.o_proj (L, R)', 2],
  ]);
  assert.deepEqual(shared({ target_modules: ['q_proj', 'k_proj', 'o_proj'], share: 'shape' }), [
    ['shape.32x32 (L, R)', 4],
    ['shape.16x32 (L, R)', 2],
  ]);
  const uneven = fakeContext([
    site('linear', 'model.layers.0.up', [6, 8]),
    site('linear', 'model.layers.1.up', [10, 8]),
    site('linear', 'model.layers.2.up', [6, 8]),
    site('linear', 'lm_head', [16, 8]),
  ]);
  assert.deepEqual(shared({ target_modules: ['up', 'lm_head'] }, uneven), [
    ['model.layers.*.up.6x8 (L, R)', 2],
    ['model.layers.*.up.10x8 (L, R)', 1],
    ['lm_head (L, R)', 1],
  ]);
  const { coverage } = attach({ target_modules: ['q_proj'], r: 2 });
  assert.deepEqual(
    coverage.modules.map(({ path, trainable }) => [path, trainable]),
    [
      ['model.layers.0.self_attn.q_proj', 4],
      ['model.layers.1.self_attn.q_proj', 4],
      ['model.layers.*.self_attn.q_proj (L, R)', 2 * 64],
    ],
  );
});

test('it starts as the base, exactly, in each of the ways that are taken', async () => {
  const rows = await readInputIds(fixture('lotr/shape/start/logits.safetensors'));
  const plain = await logitsOf(llama, rows);
  for (const options of [
    {},
    { left: 'trivial', middle: 'neutral' },
    { right: 'trivial', middle: 'neutral' },
    { train_factors: false },
  ] as const) {
    const method = inARun({ r: 2, ...options });
    const values = await startValues(method.trainables);
    assert.deepEqual(await logitsOf(llama, rows, { method, values }), plain);
    const { values: after } = await run(llama, {
      method: optionsOf({ r: 2, ...options }),
      options: { max_steps: 1, weight_decay: 0, seed: 1 },
    });
    // The first step moves what was zero, and what it is multiplied with only from the second on.
    for (const [name, data] of values) {
      const zero = data.every((each) => each === 0);
      const moved = after.get(name)!.some((each, at) => each !== data[at]);
      assert.equal(moved, zero, name);
    }
  }
  const normal = attach({ r: 16, middle: 'neutral' });
  const drawn = [...(await startValues(normal.trainables))].filter(([name]) => /_[LR]$/.test(name));
  const numbers = drawn.flatMap(([, data]) => [...data]);
  const deviation = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
  assert.ok(Math.abs(deviation - 1) < 0.03, String(deviation));
});

test('with train_factors: false L and R rest and are saved as they started; a second step moves them otherwise', async () => {
  const parts = { options: { max_steps: 3, seed: 1 } };
  const moved = async (train_factors: boolean): Promise<string[]> => {
    const options = { r: 2, train_factors };
    const start = await startValues(inARun(options).trainables);
    const { values } = await run(llama, { ...parts, method: optionsOf(options) });
    return [...start]
      .filter(([name, data]) => largestDifference(values.get(name)!, data) > 0)
      .map(([name]) => name);
  };
  const resting = await moved(false);
  assert.ok(resting.length === 14 && resting.every((name) => name.endsWith('.lotr_M')));
  assert.equal((await moved(true)).length, 14 + 2 * 7);
});

test('written once, read back, inspected; merging gives what was applied', async () => {
  const opened: [typeof llama, Partial<LotrOptions>][] = [
    [
      llama,
      { target_modules: ['q_proj', 'o_proj', 'down_proj'], share: 'shape', modules_to_save: ['model.norm'] },
    ],
    // Conv1D: weights lie the other way round.
    [gpt2, { target_modules: ['c_attn', 'c_proj'] }],
  ];
  for (const [base, given] of opened) {
    const method = attach({ r: 3, scale: 2, ...given }, base.context);
    const values = new Map([...randomValues(method)].map(([name, data]) => [name, data.map((each) => each / 3)]));
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const out = `${folder}/${base.model.modelType}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const names = saved.tensors.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.equal(names.filter((name) => name.endsWith('.lotr_L')).length, method.coverage.shared!.length);
    assert.equal(
      saved.tensors.reduce((sum, { shape }) => sum + fixedSize(shape), 0),
      trainableCount(method),
    );

    const again = await attachAdapter(base, out);
    assert.deepEqual(again.warnings, []);
    const rows = [[5, 9, 33, 70]];
    const applied = await logitsOf(base, rows, { method, values });
    assert.deepEqual(await logitsOf(base, rows, again), applied);
    assert.ok(largestDifference(applied, await logitsOf(base, rows)) > 1e-2);
    const report = await mergeAdapter({ ...base, ...again, tokenizer, out: `${out}-merged`, dtype: 'F32' });
    assert.ok(report.verifiedDifference <= 1e-3, String(report.verifiedDifference));
    const merged = await logitsOf(await openModel(report.out), rows);
    assert.ok(largestDifference(merged, applied) <= 1e-3 * Math.max(1, ...applied.map(Math.abs)));

    const inspected = await inspectAdapter(out);
    assert.deepEqual(inspected.problems, []);
    assert.equal(inspected.trainable, trainableCount(method));
    assert.deepEqual(
      inspected.modules.map(({ path, rank, scale, norm }) => ({ path, rank, scale, norm })),
      method.report!(values),
    );
    const { modules: beside } = await compareAdapters([out, out]);
    for (const [at, { norms, cosine }] of beside.entries()) {
      const norm = inspected.modules[at]!.norm!;
      assert.ok(Math.abs(norms[0] - norm) <= 1e-6 * norm && Math.abs(cosine! - 1) <= 1e-6);
    }
    assert.equal(beside.length, inspected.modules.length);
    assert.equal(inspected.shared.length, 2 * method.coverage.shared!.length);
    for (const { key, modules } of inspected.shared) {
      const { paths } = method.coverage.shared!.find(({ name }) => key.includes(name.replace(' (L, R)', '')))!;
      assert.deepEqual(modules, paths);
    }
  }
});

test('a run lowers the loss', async () => {
  const { events, reason } = await run(llama, {
    method: optionsOf({ r: 2 }),
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 2e-3, max_steps: 20, eval_steps: 20 },
  });
  assert.equal(reason, 'completed');
  const told = eventsOf(events, 'ranks').at(-1)!.sites;
  assert.ok(told.length === 14 && told.every(({ rank, scale, norm }) => rank === 2 && scale === 0.5 && norm! > 0));
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < losses[0]!, losses.join());
});

test('a plan of PyTorch counts what trains', () => {
  const shape = readModelShape(llama.checkpoint.config, 'tiny');
  for (const options of [
    { r: 3 },
    { r: 3, share: 'shape' },
    { r: 3, train_factors: false, layers_to_transform: 0 },
  ] as const) {
    const planned = plannedMethods(shape, [optionsOf(options)]);
    assert.equal(countTrained(planned.shape, planned.methods).added, trainableCount(attach(options)));
  }
});

test('options that cannot be, and options that share nothing', () => {
  const refused = (options: Partial<LotrOptions>, ...words: string[]): void => {
    assert.throws(() => attach(options), problem('lotr.start', ...words));
  };
  refused({ left: 'trivial' }, 'left, middle start at zero');
  refused({ left: 'trivial', right: 'trivial', middle: 'neutral' }, 'left, right');
  refused({ left: 'trivial', middle: 'neutral', train_factors: false }, 'left is zero and does not train');
  assert.throws(() => attach({ target_modules: ['embed_tokens'] }), problem('targets.no-match', 'embed_tokens'));
  assert.throws(() => attach({ modules_to_save: ['k_proj'] }), problem('lora.twice', 'k_proj'));
  const codes = (options: Partial<LotrOptions>): string[] =>
    attach(options).coverage.warnings.map(({ code }) => code);
  assert.deepEqual(codes({}), []);
  assert.deepEqual(codes({ layers_to_transform: 1 }), ['lotr.nothing-shared']);
  assert.deepEqual(codes({ layers_to_transform: 1, share: 'shape' }), []);
  assert.throws(
    () => lotrConfigFromPeft({ peft_type: 'LOTR', core: 'svd' }, 'x'),
    problem('adapter.config', 'core'),
  );
});

test('tensors that do not go together are told', async () => {
  const method = attach({ r: 2, target_modules: ['q_proj', 'v_proj'] });
  const saved = method.save(randomValues(method));
  assert.ok(saved.kind === 'adapter');
  const out = `${folder}/whole`;
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const adapter = await readAdapter(out);
  const found = async (change: Partial<typeof adapter>): Promise<string[]> => {
    const { problems, unknown } = await lotr.peft!.inspect({ ...adapter, ...change });
    return [...problems.map(({ code }) => code), ...unknown];
  };
  assert.deepEqual(await found({}), []);
  const without = (key: string) => new Map([...adapter.tensors].filter(([name]) => !name.endsWith(key)));
  assert.deepEqual(await found({ tensors: without('q_proj.lotr_R') }), ['adapter.shape']);
  assert.deepEqual(await found({ tensors: without('layers.1.self_attn.v_proj.lotr_M') }), ['adapter.shape']);
  const [left] = [...adapter.tensors.keys()].filter((key) => key.endsWith('q_proj.lotr_L'));
  const cut = new Map([...adapter.tensors, [left!, { shape: [32, 1], dtype: 'F32' }]]);
  assert.deepEqual(await found({ tensors: cut }), ['adapter.shape']);
  const strange = 'base_model.model.model.layers.0.self_attn.k_proj.lotr_M';
  assert.deepEqual(
    await found({ tensors: new Map([...adapter.tensors, [strange, { shape: [2, 2], dtype: 'F32' }]]) }),
    [strange],
  );
  const config = Object.fromEntries(Object.entries(adapter.config).filter(([key]) => key !== 'shared_by'));
  assert.ok((await found({ config })).includes('adapter.config'));
  // Attaching finds each tensor's place by options and base alone.
  assert.throws(
    () => method.load(new Map([...new Map(saved.tensors.map((each) => [each.name, each]))].slice(1)), out),
    problem('adapter.keys', '1 missing'),
  );
});
