import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import { combineAdapters } from '../../../../src/adapters/combining/combine.js';
import type { Combined } from '../../../../src/adapters/combining/combine.js';
import type { FactorSum } from '../../../../src/adapters/combining/combineFactors.js';
import type { CombinedPair } from '../../../../src/adapters/combining/combination.js';
import type { Part } from '../../../../src/adapters/combining/combinedPart.js';
import type { DeltaSum } from '../../../../src/adapters/combining/deltaSum.js';
import { atRank } from '../../../../src/adapters/converting/rankCut.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import type { Attached } from '../../../../src/methods/method.js';
import { problem, temporaryFolder, tokenizer, writeParts } from '../../../support/adapters.js';
import { drawnLora } from '../../../support/drawnLora.js';
import { fixture, largestDifference, readJson, readTensors } from '../../../support/fixtures.js';
import { logitsOf, openModel } from '../../../support/model.js';

const FIXTURE = fixture('combine-factors', '.');
const root = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
let count = 0;

async function written({ saved }: Combined): Promise<AdapterOnDisk> {
  const folder = path.join(root, `sum-${++count}`);
  await writeAdapter(folder, saved, { tokenizer, card: '' });
  return readAdapter(folder);
}

const combined = async (parts: readonly Part[], how: Partial<FactorSum> = {}) =>
  combineAdapters(parts, opened.context, { sum: { kind: 'linear' }, seed: 0, ...how });

const attached = (adapter: AdapterOnDisk) => attachAdapter(adapter, opened.context);

/** ΔW of every module that has a weight, by its path: what merging adds to zeros. */
async function deltas(adapter: AdapterOnDisk): Promise<ReadonlyMap<string, Float32Array>> {
  const { method, values } = await attached(adapter);
  return deltasOf(method, values);
}

function deltasOf(method: Attached, values: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> {
  const found = new Map<string, Float32Array>();
  for (const site of opened.model.sites) {
    if (site.kind !== 'linear' && site.kind !== 'embedding') continue;
    const size = site.shape.reduce((product, each) => product * each, 1);
    const delta = method.merge!(site, 'weight', new Float32Array(size), values);
    if (delta !== undefined) found.set(site.path, delta);
  }
  return found;
}

const drawn = (seed: number): Promise<AdapterOnDisk> =>
  drawnLora(path.join(root, `drawn-${++count}`), seed, opened.model);

function assertSame(
  ours: ReadonlyMap<string, Float32Array>,
  theirs: ReadonlyMap<string, Float32Array>,
  what: string,
): void {
  assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
  for (const [name, delta] of ours) {
    const gap = largestDifference(delta, theirs.get(name)!);
    const size = Math.max(...theirs.get(name)!.map(Math.abs));
    assert.ok(gap <= 2e-5 * Math.max(size, 1), `${what}, ${name}: ${gap} of ${size}`);
  }
}

const KINDS: readonly DeltaSum[] = [
  { kind: 'linear' },
  { kind: 'magnitude_prune', density: 1 },
  { kind: 'dare_linear', density: 1 },
  { kind: 'ties', density: 1, majority_sign_method: 'total' },
  { kind: 'dare_ties', density: 1, majority_sign_method: 'frequency' },
];

describe('low-rank updates as one', () => {
  let one: AdapterOnDisk;
  let two: AdapterOnDisk;
  let three: AdapterOnDisk;
  before(async () => {
    [one, two] = [await readAdapter(path.join(FIXTURE, 'one')), await readAdapter(path.join(FIXTURE, 'two'))];
    three = await readAdapter(path.join(FIXTURE, 'three'));
  });

  test('are what HF PEFT makes of them, where it is asked for and where its sum is that of the updates', async () => {
    const theirs = await readTensors(path.join(FIXTURE, 'logits.safetensors'));
    const { rows, weights } = (await readJson(path.join(FIXTURE, 'rows.json'))) as unknown as {
      rows: number[][];
      weights: number[];
    };
    const weighed = (...adapters: AdapterOnDisk[]): Part[] =>
      adapters.map((adapter, at) => ({ adapter, weight: weights[at]! }));
    const parts = weighed(one, two);
    const others = weighed(one, three);
    const ties = { kind: 'ties', density: 0.6, majority_sign_method: 'total' } as const;
    const prune = { kind: 'magnitude_prune', density: 0.4 } as const;
    const cases: Record<string, readonly [readonly Part[], Partial<FactorSum>]> = {
      linear: [parts, { asPeft: true }],
      magnitude_prune: [parts, { sum: prune, asPeft: true }],
      ties: [parts, { sum: ties, asPeft: true }],
      'ties-frequency': [parts, { sum: { ...ties, majority_sign_method: 'frequency' }, asPeft: true }],
      cat: [parts, {}],
      svd: [parts, { kept: { rank: 3 }, asPeft: true }],
      ties_svd: [parts, { sum: ties, kept: { rank: 5 } }],
      // Of other ranks, and by PEFT's rule for the rank of the sum.
      'other-cat': [others, {}],
      'other-svd': [others, { kept: 'largest' }],
      'other-ties_svd': [others, { sum: ties, kept: 'largest', asPeft: true }],
      'other-magnitude_prune_svd': [others, { sum: prune, kept: 'largest' }],
      alone: [[{ adapter: one, weight: -0.7 }], { sum: { ...ties, density: 0.3 }, asPeft: true }],
      negative: [
        [
          { adapter: one, weight: -0.8 },
          { adapter: two, weight: -0.5 },
        ],
        { sum: ties, asPeft: true },
      ],
    };
    assert.deepEqual(Object.keys(cases).sort(), [...theirs.keys()].sort());
    for (const [name, [own, how]] of Object.entries(cases)) {
      const ours = await logitsOf(opened, rows, await attached(await written(await combined(own, how))));
      const gap = largestDifference(ours, theirs.get(name)!.data);
      assert.ok(gap < 2e-5, `${name}: ${gap}`);
    }
  });

  test('of one adapter at weight 1 are that adapter, for every kind and any options', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const adapter = await drawn(seed);
      const expected = await deltas(adapter);
      const what = JSON.stringify(adapter.config);
      for (const sum of KINDS) {
        const found = await deltas(await written(await combined([{ adapter, weight: 1 }], { sum })));
        assertSame(found, expected, `${sum.kind} of ${what}`);
        const kept = await written(await combined([{ adapter, weight: 1 }], { sum, kept: { rank: 9 } }));
        assertSame(await deltas(kept), expected, `${sum.kind} of rank 9 of ${what}`);
      }
      const peft = await written(await combined([{ adapter, weight: 1 }], { asPeft: true }));
      assertSame(await deltas(peft), expected, `as PEFT: ${what}`);
    }
  });

  test('of an adapter and the same with weight −1 are nothing', async () => {
    for (let seed = 20; seed < 26; seed++) {
      const adapter = await drawn(seed);
      const parts = [
        { adapter, weight: 1 },
        { adapter, weight: -1 },
      ];
      for (const sum of KINDS) {
        const sums = await combined(parts, { sum });
        for (const [name, delta] of await deltas(await written(sums))) {
          assert.ok(
            delta.every((each) => Math.abs(each) < 1e-5),
            `${sum.kind}, ${name}`,
          );
        }
        for (const { norm, pairs } of sums.modules) {
          assert.ok(norm < 1e-4, String(norm));
          const [{ cosine, shared, signConflicts }] = pairs as [CombinedPair];
          assert.ok(Math.abs(cosine! + 1) < 1e-6, String(cosine));
          assert.ok(Math.abs(shared! - 1) < 1e-6, String(shared));
          assert.equal(signConflicts, 1);
        }
      }
    }
  });

  test('of different ranks and targets are the weighted sum of the updates', async () => {
    for (let seed = 30; seed < 40; seed += 2) {
      const [a, b] = [await drawn(seed), await drawn(seed + 1)];
      const [ofA, ofB] = [await deltas(a), await deltas(b)];
      const expected = new Map(
        [...new Set([...ofA.keys(), ...ofB.keys()])].map((name) => {
          const size = (ofA.get(name) ?? ofB.get(name))!.length;
          const sum = Float32Array.from(
            { length: size },
            (_, at) => 0.7 * (ofA.get(name)?.[at] ?? 0) - 1.5 * (ofB.get(name)?.[at] ?? 0),
          );
          return [name, sum];
        }),
      );
      const parts = [
        { adapter: a, weight: 0.7 },
        { adapter: b, weight: -1.5 },
      ];
      const exact = await combined(parts);
      assertSame(await deltas(await written(exact)), expected, JSON.stringify([a.config, b.config]));
      assert.ok(exact.modules.every(({ error }) => error === 0));
    }
  });

  test('of a lower rank say what the rank costs', async () => {
    const parts = [
      { adapter: one, weight: 1 },
      { adapter: two, weight: 1 },
    ];
    const whole = await deltas(await written(await combined(parts)));
    const cut = await combined(parts, { kept: { rank: 2 } });
    const left = await deltas(await written(cut));
    const length = (delta: Float32Array): number => Math.hypot(...delta);
    for (const { path: name, rank, error, norm } of cut.modules) {
      assert.equal(rank, 2);
      const lost = whole.get(name)!.map((each, at) => each - left.get(name)![at]!);
      assert.ok(Math.abs(length(lost) / length(whole.get(name)!) - error) < 1e-4, `${name}: ${error}`);
      assert.ok(Math.abs(length(left.get(name)!) - norm) < 1e-3);
    }
    const energy = await combined(parts, { kept: { energy: 0.9 } });
    for (const { error } of energy.modules) assert.ok(error <= Math.sqrt(0.1) + 1e-9);
    const largest = await combined(parts, { kept: 'largest' });
    assert.ok(largest.modules.every(({ rank }) => rank === 4));
  });

  test('draw what DARE leaves out anew for each adapter and module, and alike for a seed', async () => {
    const parts = [{ adapter: one, weight: 1 }];
    const sum = { kind: 'dare_linear', density: 0.5 } as const;
    const first = await combined(parts, { sum });
    assert.deepEqual((await combined(parts, { sum })).saved, first.saved);
    const other = await combined(parts, { sum, seed: 1 });
    assert.notDeepEqual(other.saved.tensors, first.saved.tensors);
  });

  test('say where pruning leaves nothing of them', async () => {
    const parts = [{ adapter: one, weight: 1 }];
    const { modules, warnings } = await combined(parts, { sum: { kind: 'magnitude_prune', density: 1e-9 } });
    assert.ok(modules.every(({ norm, pruned }) => norm === 0 && pruned?.numbers === 1));
    assert.deepEqual(
      warnings.map(({ code }) => code).filter((code) => code.startsWith('combine.')),
      ['combine.zero'],
    );
  });

  test('name what cannot be combined so', async () => {
    const dora = await readAdapter(
      await writeParts(path.join(root, 'dora'), {
        config: { ...one.config, use_dora: true },
        tensors: [
          ...(await one.loadTensors()).values(),
          ...[...(await one.loadTensors()).values()]
            .filter(({ name }) => /lora_(embedding_)?B/.test(name))
            .map(({ name, shape }) => ({
              name: name.replace(/\.lora_(?:embedding_)?B.*/, '.lora_magnitude_vector'),
              shape: [shape[0]!],
              data: new Float32Array(shape[0]!).fill(1),
            })),
        ],
      }),
    );
    const both = (other: AdapterOnDisk): Part[] => [
      { adapter: one, weight: 1 },
      { adapter: other, weight: 1 },
    ];
    await assert.rejects(combined(both(dora)), problem('combine.dora', 'use_dora'));
    const cut = atRank(one, 2).adapter;
    await assert.rejects(combined(both(cut), { asPeft: true }), problem('combine.rank', '--as-peft'));
  });
});
