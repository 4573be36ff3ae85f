import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { attachAdapter as attach } from '../../../../src/adapters/attachAdapter.js';
import { combineAdapters } from '../../../../src/adapters/combining/combine.js';
import { checkMethods } from '../../../../src/adapters/combining/combineChecks.js';
import { checkSameBase } from '../../../../src/adapters/sameBase.js';
import { allLogits } from '../../../../src/adapters/merging/logits.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../../../src/adapters/readAdapter.js';
import { sparseSum } from '../../../../src/adapters/sparseSum.js';
import type { SparseDifference } from '../../../../src/adapters/sparseSum.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import { attachMethods } from '../../../../src/engines/session.js';
import { random } from '../../../../src/common/random.js';
import type { Random } from '../../../../src/common/random.js';
import { PaFiOptions } from '../../../../src/methods/pafi.js';
import type { Attached, SavedAdapter } from '../../../../src/methods/method.js';
import { loadTokenizer } from '../../../../src/models/loadTokenizer.js';
import { problem } from '../../../support/adapters.js';
import { ROOT, fixture, largestDifference } from '../../../support/fixtures.js';
import { logitsOf, openModel } from '../../../support/model.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const tokenizer = await loadTokenizer(path.join(ROOT, 'examples/base-model/peft-studio-tiny'));
const root = await mkdtemp(path.join(tmpdir(), 'peft-combine-'));
after(() => rm(root, { recursive: true, force: true }));
let count = 0;

async function written(saved: SavedAdapter): Promise<AdapterOnDisk> {
  const folder = path.join(root, String(++count));
  await writeAdapter(folder, saved, { tokenizer, card: '' });
  return readAdapter(folder);
}

function draw(rng: Random, size: number, share: number): SparseDifference {
  const places = Int32Array.from(Array.from({ length: size }, (_, at) => at).filter(() => rng.uniform() < share));
  return { places, values: Float32Array.from(places, () => rng.normal() * 10 ** (rng.integer(6) - 3)) };
}

/** An adapter with differences at random places of some weights. */
function differences(
  seed: number,
  modules: readonly string[],
  config: Record<string, string | number | null> = {},
): Promise<AdapterOnDisk> {
  const rng = random(seed, 'differences');
  const sites = opened.model.sites.filter(({ path: at }) => modules.some((name) => at.endsWith(name)));
  const parts = sites.map(({ path: at, shape }) => ({ at, ...draw(rng, shape[0]! * shape[1]!, 0.2) }));
  return written({
    kind: 'adapter',
    config: {
      base_model_name_or_path: 'base',
      keep_ratio: 0.2,
      peft_type: 'FISH_MASK',
      target_modules: 'all-linear',
      task_type: 'CAUSAL_LM',
      ...config,
    },
    tensors: parts.map(({ at, values }) => ({
      name: `${at}.weight.values`,
      shape: [values.length],
      data: values.map((value) => value / 20),
    })),
    indices: parts.map(({ at, places }) => ({ name: `${at}.weight.indices`, data: places })),
  });
}

const sum = async (...adapters: AdapterOnDisk[]) =>
  combineAdapters(
    adapters.map((adapter) => ({ adapter, weight: 1 })),
    opened.context,
  );

/** The differences of one weight by their places. */
async function dense(adapter: AdapterOnDisk, name: string): Promise<ReadonlyMap<number, number>> {
  const values = await adapter.read(`${name}.weight.values`);
  const places = await adapter.readIndices(`${name}.weight.indices`);
  return new Map([...places].map((place, at) => [place, values[at]!]));
}

const ROW = [[5, 6, 70, 12, 9, 44, 3]];

test('the sum of adapters gives the logits of all of them applied, with each multiplied by its weight', async () => {
  const [a, b] = [await differences(1, ['q_proj', 'up_proj']), await differences(2, ['q_proj', 'down_proj'])];
  const combined = await sum(a, b);
  const one = await attach(await written(combined.saved), opened.context);
  const methods: Attached[] = [];
  const values = new Map<string, Float32Array>();
  for (const [at, adapter] of [a, b].entries()) {
    const found = await attach(adapter, { ...opened.context, instance: `${at}:`, before: [...methods] });
    methods.push(found.method);
    for (const [name, data] of found.values) values.set(name, data);
  }
  const both = await allLogits({ ...opened, rows: ROW, methods, values });
  const apart = await logitsOf(opened, ROW, await attach(a, opened.context));
  const ours = await logitsOf(opened, ROW, one);
  assert.ok(largestDifference(ours, both) < 1e-5);
  assert.ok(largestDifference(ours, apart) > 1e-2);
  const names = [...a.tensors.keys()].filter((name) => name.endsWith('indices') && b.tensors.has(name));
  assert.equal(names.length, 2);
  let shared = 0;
  for (const name of names) {
    const own = new Set(await a.readIndices(name));
    shared += (await b.readIndices(name)).filter((place) => own.has(place)).length;
  }
  assert.equal(combined.overlap, shared);
  const total = [a, b].flatMap(({ tensors }) => [...tensors]).filter(([name]) => name.endsWith('.values'));
  assert.equal(combined.numbers, total.reduce((size, [, { shape }]) => size + shape[0]!, 0) - shared);
  // Layer 1 of the first only, and q_proj of the second: the rest has a weight of 0.
  const some = await combineAdapters(
    [
      { adapter: a, weight: 0, layerWeights: { 1: 2 } },
      { adapter: b, weight: 0, layerWeights: { 1: 0, q_proj: -1 } },
    ],
    opened.context,
  );
  const q = 'model.layers.1.self_attn.q_proj';
  const own = some.modules.map(({ path: name, weights }) => [name, ...weights]);
  assert.deepEqual(own, [
    ['model.layers.0.self_attn.q_proj', 0, -1],
    [q, 2, -1],
    ['model.layers.1.mlp.up_proj', 2, 0],
  ]);
  const places = some.saved.indices!.find(({ name }) => name.startsWith(q))!.data;
  const { data } = some.saved.tensors.find(({ name }) => name.startsWith(q))!;
  const [ofA, ofB] = [await dense(a, q), await dense(b, q)];
  places.forEach((place, at) => {
    assert.ok(Math.abs(data[at]! - (2 * (ofA.get(place) ?? 0) - (ofB.get(place) ?? 0))) < 1e-6);
  });
  assert.deepEqual(
    [...places].sort((one, other) => one - other),
    [...new Set([...ofA.keys(), ...ofB.keys()])].sort((one, other) => one - other),
  );
  assert.deepEqual(
    (some.saved.config['combined_from'] as { weight: number; layer_weights: object }[]).map((part) => [
      part.weight,
      part.layer_weights,
    ]),
    [
      [0, { 1: 2 }],
      [0, { 1: 0, q_proj: -1 }],
    ],
  );
  // A − A is the base model.
  const nothing = await combineAdapters(
    [
      { adapter: a, weight: 1 },
      { adapter: a, weight: -1 },
    ],
    opened.context,
  );
  const base = await logitsOf(opened, ROW, await attach(await written(nothing.saved), opened.context));
  assert.deepEqual(base, await logitsOf(opened, ROW));
});

test('the order and the grouping of a sum make no difference', async () => {
  const [a, b, c] = [
    await differences(1, ['q_proj']),
    await differences(2, ['q_proj', 'k_proj'], {
      peft_type: 'LT_SFT',
      keep_ratio: null,
      ft_params_proportion: 0.2,
    }),
    await differences(3, ['k_proj', 'q_proj']),
  ];
  const wanted = (await sum(a, b, c)).saved;
  const flat = ({ tensors, indices }: SavedAdapter): unknown => [
    tensors.map(({ name, data }) => [name, ...data]),
    indices!.map(({ name, data }) => [name, ...data]),
  ];
  for (const order of [
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ]) {
    assert.deepEqual(flat((await sum(...order)).saved), flat(wanted));
  }
  const grouped = (await sum(await written((await sum(a, b)).saved), c)).saved;
  assert.deepEqual(grouped.indices, wanted.indices);
  grouped.tensors.forEach(({ data }, at) => assert.ok(largestDifference(data, wanted.tensors[at]!.data) < 1e-5));
});

test('sums of random differences: exact at each place, whatever the order', () => {
  const rng = random(7, 'sums');
  for (let round = 0; round < 50; round++) {
    const size = 1 + rng.integer(200);
    const terms = Array.from({ length: 1 + rng.integer(4) }, () => ({
      difference: draw(rng, size, rng.uniform()),
      weight: rng.normal(),
    }));
    const found = sparseSum(terms);
    const dense = new Float64Array(size);
    const hits = new Uint8Array(size);
    for (const { difference, weight } of terms) {
      difference.places.forEach((place, at) => {
        dense[place]! += weight * difference.values[at]!;
        hits[place]!++;
      });
    }
    const places = [...hits.keys()].filter((place) => hits[place]! > 0);
    assert.deepEqual([...found.places], places);
    assert.deepEqual(
      found.values,
      Float32Array.from(places, (place) => dense[place]!),
    );
    assert.equal(found.overlap, hits.filter((times) => times > 1).length);
    const turned = sparseSum([...terms].reverse());
    assert.deepEqual(turned.places, found.places);
    turned.values.forEach((value, at) => {
      // Sums in float64 agree but for their last bits.
      assert.ok(Math.abs(value - found.values[at]!) <= 1e-6 * Math.abs(found.values[at]!) + 1e-12);
    });
  }
});

test('what does not add up is refused', async () => {
  const a = await differences(1, ['q_proj']);
  const lora = await readAdapter(fixture('lora-reference', 'peft-adapter'));
  await assert.rejects(sum(a), problem('combine.count'));
  const scaled = await readAdapter(fixture('ia3', 'llama'));
  await assert.rejects(sum(a, scaled), problem('combine.method', 'IA3', 'LT_SFT'));
  // Together they would be a LoRA, and single numbers have no low rank.
  await assert.rejects(sum(lora, a), problem('combine.full-rank', 'FISH_MASK', '--rank'));
  const asPeft = { sum: { kind: 'linear' }, seed: 0, asPeft: true } as const;
  const mixed = [lora, a].map((adapter) => ({ adapter, weight: 1 }));
  await assert.rejects(
    combineAdapters(mixed, opened.context, asPeft),
    problem('combine.as-peft', 'FISH_MASK', '--as-peft'),
  );
  const pair = [a, await differences(2, ['q_proj'])].map((adapter) => ({ adapter, weight: 1 }));
  const ties = { kind: 'ties', density: 0.5, majority_sign_method: 'total' } as const;
  for (const how of [{ sum: ties }, { sum: { kind: 'linear' }, kept: { rank: 2 } }] as const) {
    await assert.rejects(
      combineAdapters(pair, opened.context, { ...how, seed: 0 }),
      problem('combine.how', 'FISH_MASK'),
    );
  }
  await assert.rejects(
    sum(a, await differences(2, ['q_proj'], { task_type: null })),
    problem('combine.task', 'CAUSAL_LM'),
  );
  const other = await differences(2, ['q_proj'], { base_model_name_or_path: 'another' });
  assert.throws(() => checkSameBase([a, other], false), problem('adapter.several-bases', 'base', 'another'));
  assert.equal(checkSameBase([a, other], true)[0]!.severity, 'warning');
  assert.deepEqual(checkSameBase([a, a], false), []);
  const withScales = [a, scaled].map((adapter) => ({ adapter, weight: 1 }));
  assert.throws(() => checkMethods(withScales), problem('combine.method', 'IA3'));
  // Of another base, which lacks the module, or has a smaller one.
  const foreign = (name: string, place: number): Promise<AdapterOnDisk> =>
    written({
      kind: 'adapter',
      config: {
        base_model_name_or_path: 'base',
        peft_type: 'PAFI',
        target_modules: 'all-linear',
        task_type: 'CAUSAL_LM',
      },
      tensors: [{ name: `${name}.weight.values`, shape: [1], data: Float32Array.of(1) }],
      indices: [{ name: `${name}.weight.indices`, data: Int32Array.of(place) }],
    });
  await assert.rejects(sum(a, await foreign('model.layers.9.mlp.up_proj', 0)), problem('sparse-delta.weight'));
  await assert.rejects(
    sum(a, await foreign('model.layers.0.self_attn.q_proj', 1024)),
    problem('sparse-delta.indices'),
  );
  const huge = { adapter: a, weight: 3e38 };
  await assert.rejects(combineAdapters([huge, huge], opened.context), problem('combine.infinite', 'q_proj'));
});

test('a matrix that modules share is one, whichever of them an adapter names', async () => {
  const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
  const of = (name: string, place: number): Promise<AdapterOnDisk> =>
    written({
      kind: 'adapter',
      config: {
        base_model_name_or_path: 'base',
        peft_type: 'PAFI',
        target_modules: [name],
        task_type: 'CAUSAL_LM',
      },
      tensors: [{ name: `${name}.weight.values`, shape: [1], data: Float32Array.of(1) }],
      indices: [{ name: `${name}.weight.indices`, data: Int32Array.of(place) }],
    });
  const parts = [await of('lm_head', 5), await of('model.embed_tokens', 5)].map((adapter) => ({
    adapter,
    weight: 1,
  }));
  const { saved, overlap } = await combineAdapters(parts, tied.context);
  assert.equal(overlap, 1);
  assert.deepEqual(
    saved.tensors.map(({ data }) => [...data]),
    [[2]],
  );
});

test('BitFit: biases add up, of the same kinds only', async () => {
  const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));
  const biases = (seed: number, sites = gpt2.model.sites): Promise<AdapterOnDisk> => {
    const rng = random(seed, 'biases');
    return written({
      kind: 'adapter',
      config: { base_model_name_or_path: 'base', bias_terms: 'all', peft_type: 'BITFIT', task_type: 'CAUSAL_LM' },
      tensors: sites
        .filter(({ bias }) => bias !== undefined)
        .map(({ path: at, shape }) => ({
          name: `${at}.bias.difference`,
          shape: [shape[0]!],
          data: Float32Array.from({ length: shape[0]! }, () => rng.normal()),
        })),
    });
  };
  const [a, b] = [await biases(1), await biases(2)];
  const half = { adapter: b, weight: 0.5 };
  const { saved, overlap, numbers } = await combineAdapters([{ adapter: a, weight: 1 }, half], gpt2.context);
  assert.equal(overlap, numbers);
  for (const { name, data } of saved.tensors) {
    const [one, two] = [await a.read(name), await b.read(name)];
    assert.deepEqual(
      data,
      one.map((value, at) => value + 0.5 * two[at]!),
      name,
    );
  }
  await attach(await written(saved), gpt2.context);
  const fewer = await biases(3, gpt2.model.sites.slice(4));
  await assert.rejects(
    combineAdapters(
      [
        { adapter: a, weight: 1 },
        { adapter: fewer, weight: 1 },
      ],
      gpt2.context,
    ),
    problem('adapter.keys'),
  );
  const kinds = async (term: string, module: string): Promise<AdapterOnDisk> =>
    written({
      kind: 'adapter',
      config: { base_model_name_or_path: 'base', bias_terms: [term], peft_type: 'BITFIT', task_type: 'CAUSAL_LM' },
      tensors: gpt2.model.sites
        .filter(({ path: at }) => at.endsWith(module))
        .map(({ path: at, shape }) => ({
          name: `${at}.bias.difference`,
          shape: [shape[0]!],
          data: new Float32Array(shape[0]!),
        })),
    });
  const different = [await kinds('intermediate', 'mlp.c_fc'), await kinds('output', 'mlp.c_proj')];
  await assert.rejects(
    combineAdapters(
      different.map((adapter) => ({ adapter, weight: 1 })),
      gpt2.context,
    ),
    problem('combine.biases', 'bias_terms'),
  );
});

test('a language without a head and a task with one: the head is the task’s; two heads are refused', async () => {
  const bert = await openModel(fixture('encoders', 'tiny-bert-classes'));
  const query = 'bert.encoder.layer.0.attention.self.query';
  const language = await written({
    kind: 'adapter',
    config: { base_model_name_or_path: 'base', peft_type: 'LT_SFT', target_modules: [query], task_type: null },
    tensors: [{ name: `${query}.weight.values`, shape: [2], data: Float32Array.of(1, 2) }],
    indices: [{ name: `${query}.weight.indices`, data: Int32Array.of(0, 3) }],
  });
  const pafi = Value.Parse(PaFiOptions, { type: 'pafi', target_modules: [query] });
  const prepared = new Map([[`${query}.weight.indices`, Int32Array.of(3, 4)]]);
  const [method] = attachMethods([pafi], bert.context, [prepared]);
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of method!.trainables)
    values.set(
      variable.name,
      (await start()).map((each) => each + 1),
    );
  const saved = method!.save(values);
  assert.ok(saved.kind === 'adapter');
  const task = await written(saved);
  for (const order of [
    [language, task],
    [task, language],
  ]) {
    const found = await combineAdapters(
      order.map((adapter) => ({ adapter, weight: 1 })),
      bert.context,
    );
    assert.equal(found.saved.config['task_type'], 'SEQ_CLS');
    assert.deepEqual(found.saved.labels, saved.labels);
    const own = await attach(await written(found.saved), bert.context);
    for (const [name, data] of own.values) {
      const wanted = name.endsWith('.values') ? Float32Array.of(1, 3, 1) : values.get(name)!;
      assert.deepEqual(data, wanted, name);
    }
    assert.equal(own.values.size, values.size);
  }
  const both = [task, task].map((adapter) => ({ adapter, weight: 1 }));
  await assert.rejects(combineAdapters(both, bert.context), problem('adapter.several-heads'));
});
