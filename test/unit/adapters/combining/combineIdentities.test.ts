// What holds of every combination, whatever the adapters are: over random ranks, targets, options and models.
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import { combineAdapters } from '../../../../src/adapters/combining/combine.js';
import type { Combined } from '../../../../src/adapters/combining/combine.js';
import type { FactorSum } from '../../../../src/adapters/combining/combineFactors.js';
import type { Part } from '../../../../src/adapters/combining/combinedPart.js';
import type { DeltaSum } from '../../../../src/adapters/combining/deltaSum.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import { random } from '../../../../src/common/random.js';
import { problem, temporaryFolder, tokenizer } from '../../../support/adapters.js';
import { drawnAdapter, drawnLoraOptions } from '../../../support/drawnAdapter.js';
import { fixture } from '../../../support/fixtures.js';
import { openModel } from '../../../support/model.js';
import type { Opened } from '../../../support/model.js';

const root = temporaryFolder();
// Linear layers; one matrix for embedding and head; Conv1D with biases, tied.
const MODELS: readonly Opened[] = await Promise.all([
  openModel(fixture('lora-reference', 'tiny-llama')),
  openModel(fixture('lora-reference', 'tiny-llama-tied')),
  openModel(fixture('gpt2', 'tiny-gpt2')),
]);
const LINEAR = { kind: 'linear' } as const;
const SUMS: readonly DeltaSum[] = [
  LINEAR,
  { kind: 'magnitude_prune', density: 1 },
  { kind: 'dare_linear', density: 1 },
  { kind: 'ties', density: 1, majority_sign_method: 'total' },
  { kind: 'dare_ties', density: 1, majority_sign_method: 'frequency' },
];
let count = 0;

const fresh = (): string => path.join(root, String(++count));

const lora = (seed: number, opened: Opened): Promise<AdapterOnDisk> =>
  drawnAdapter(fresh(), seed, drawnLoraOptions(seed, opened), opened);

const combined = (opened: Opened, parts: readonly Part[], how: Partial<FactorSum> = {}): Promise<Combined> =>
  combineAdapters(parts, opened.context, { sum: LINEAR, seed: 0, ...how });

async function written({ saved }: Combined): Promise<AdapterOnDisk> {
  const folder = fresh();
  await writeAdapter(folder, saved, { tokenizer, card: '' });
  return readAdapter(folder);
}

/** θ − θ₀ of every parameter that merging the adapter changes, by site and kind. */
type Changes = ReadonlyMap<string, Float64Array>;

async function changes(adapter: AdapterOnDisk, { model, context }: Opened): Promise<Changes> {
  const { method, values } = await attachAdapter(adapter, context);
  const found = new Map<string, Float64Array>();
  for (const site of model.sites) {
    for (const kind of ['weight', 'bias'] as const) {
      const name = site[kind];
      if (name === undefined) continue;
      const base = await context.read(name);
      const merged = method.merge!(site, kind, base, values);
      if (merged !== undefined)
        found.set(
          `${site.path}.${kind}`,
          Float64Array.from(merged, (each, at) => each - base[at]!),
        );
    }
  }
  return found;
}

/** Σ w·(θ − θ₀) */
async function weightedSum(
  parts: readonly { readonly adapter: AdapterOnDisk; readonly weight: (name: string) => number }[],
  opened: Opened,
): Promise<Changes> {
  const sum = new Map<string, Float64Array>();
  for (const { adapter, weight } of parts) {
    for (const [name, own] of await changes(adapter, opened)) {
      const before = sum.get(name) ?? new Float64Array(own.length);
      sum.set(
        name,
        own.map((each, at) => before[at]! + weight(name) * each),
      );
    }
  }
  return sum;
}

/** A parameter that one of them leaves alone counts as unchanged. */
function assertSame(ours: Changes, theirs: Changes, what: string): void {
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    const [one, two] = [ours.get(name), theirs.get(name)];
    const size = Math.max(1, ...(two ?? []).map(Math.abs));
    const gap = Math.max(...(one ?? two)!.map((_, at) => Math.abs((one?.[at] ?? 0) - (two?.[at] ?? 0))));
    assert.ok(gap <= 2e-5 * size, `${what}, ${name}: ${gap} of ${size}`);
  }
}

const told = (...adapters: readonly AdapterOnDisk[]): string =>
  adapters.map(({ config }) => JSON.stringify(config)).join('\n');

describe('combinations of random LoRAs', () => {
  test('one adapter at weight 1 is itself, for every way and flag', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const opened = MODELS[seed % 3]!;
      const adapter = await lora(seed, opened);
      const expected = await changes(adapter, opened);
      const ways: readonly Partial<FactorSum>[] = [
        ...SUMS.map((sum) => ({ sum })),
        ...SUMS.map((sum) => ({ sum, kept: 'largest' as const })),
        ...SUMS.map((sum) => ({ sum, asPeft: true as const })),
        { kept: { energy: 1 } },
        // PEFT does not prune one alone.
        { sum: { kind: 'ties', density: 0.2, majority_sign_method: 'total' }, asPeft: true },
      ];
      for (const how of ways) {
        const alone = await combined(opened, [{ adapter, weight: 1 }], how);
        const ours = await changes(await written(alone), opened);
        assertSame(ours, expected, `${JSON.stringify(how)} of ${told(adapter)}`);
        assert.ok(alone.modules.every(({ error }) => error < 1e-6));
      }
    }
  });

  test('an adapter and the same at weight −1 are the base model', async () => {
    for (let seed = 20; seed < 29; seed++) {
      const opened = MODELS[seed % 3]!;
      const adapter = await lora(seed, opened);
      const parts = [1, -1].map((weight) => ({ adapter, weight }));
      for (const sum of SUMS) {
        const nothing = await combined(opened, parts, { sum });
        const found = await changes(await written(nothing), opened);
        assertSame(found, new Map(), `${sum.kind} of ${told(adapter)}`);
      }
    }
  });

  test('a linear sum is Σ w·(θ − θ₀), by the weights of each layer, in any order and grouping', async () => {
    for (let seed = 30; seed < 42; seed++) {
      const opened = MODELS[seed % 3]!;
      const rng = random(seed, 'weights');
      const [a, b, c] = [await lora(seed, opened), await lora(100 + seed, opened), await lora(200 + seed, opened)];
      const draw = (): number => Math.round(rng.normal() * 100) / 50 || 1;
      const weights = [draw(), draw(), draw()];
      const inLayer = [draw(), 0, draw()];
      const parts = [a, b, c].map((adapter, at) => ({ adapter, weight: weights[at]! }));
      const what = `${weights.join(' ')} of ${told(a, b, c)}`;
      const expected = await weightedSum(
        parts.map(({ adapter, weight }) => ({ adapter, weight: () => weight })),
        opened,
      );
      const once = await written(await combined(opened, parts));
      assertSame(await changes(once, opened), expected, what);
      const turned = await written(await combined(opened, [parts[2]!, parts[0]!, parts[1]!]));
      assertSame(await changes(turned, opened), expected, `in another order: ${what}`);
      const first = await written(await combined(opened, parts.slice(0, 2)));
      const grouped = await combined(opened, [{ adapter: first, weight: 1 }, parts[2]!]);
      assertSame(await changes(await written(grouped), opened), expected, `one after the other: ${what}`);
      const nested = await combined(opened, [{ adapter: once, weight: 1 }]);
      assertSame(await changes(await written(nested), opened), expected, `once more: ${what}`);

      const layered = parts.map((part, at) => ({ ...part, layerWeights: { 1: inLayer[at]! } }));
      const ofLayers = await weightedSum(
        parts.map(({ adapter, weight }, at) => ({
          adapter,
          weight: (name) => (/\.1\./.test(name) ? inLayer[at]! : weight),
        })),
        opened,
      );
      const byLayer = await written(await combined(opened, layered));
      assertSame(await changes(byLayer, opened), ofLayers, `layer 1 at ${inLayer.join(' ')}: ${what}`);
    }
  });
});

describe('combinations with other methods', () => {
  const targets = ['q_proj', 'up_proj'];
  const [llama] = MODELS as [Opened];
  const product = [
    { type: 'adalora', init_r: 4, target_r: 2, target_modules: targets, bias: 'all', modules_to_save: ['norm'] },
    { type: 'melora', l_num: 2, r: 2, target_modules: targets, modules_to_save: ['norm'] },
    { type: 'lotr', r: 3, target_modules: targets },
  ] as const;
  const matrix = [
    { type: 'lokr', r: 2, target_modules: ['q_proj', 'down_proj'], modules_to_save: ['norm'] },
    { type: 'mora', r: 2, target_modules: targets },
  ] as const;

  test('whose updates are products: exactly, and alone as a LoRA', async () => {
    const other = await lora(3, llama);
    for (const [seed, options] of product.entries()) {
      const adapter = await drawnAdapter(fresh(), seed, options, llama);
      const alone = await combined(llama, [{ adapter, weight: 1 }]);
      const one = await written(alone);
      assert.deepEqual([one.peftType, alone.form], ['LORA', 'factors']);
      assertSame(await changes(one, llama), await changes(adapter, llama), options.type);
      const parts = [
        { adapter, weight: -0.6 },
        { adapter: other, weight: 1.5 },
      ];
      const both = await combined(llama, parts);
      assert.ok(both.modules.every(({ error }) => error === 0));
      const expected = await weightedSum(
        parts.map(({ adapter: each, weight }) => ({ adapter: each, weight: () => weight })),
        llama,
      );
      assertSame(await changes(await written(both), llama), expected, `${options.type} and ${told(other)}`);
    }
  });

  test('whose updates are matrices: as much as is to be kept, with what that costs', async () => {
    const other = await lora(3, llama);
    for (const [seed, options] of matrix.entries()) {
      const adapter = await drawnAdapter(fresh(), seed, options, llama);
      const parts = [
        { adapter, weight: 0.5 },
        { adapter: other, weight: 1 },
      ];
      await assert.rejects(combined(llama, parts), problem('combine.full-rank', '--rank', adapter.peftType));
      const expected = await weightedSum(
        parts.map(({ adapter: each, weight }) => ({ adapter: each, weight: () => weight })),
        llama,
      );
      const all = await combined(llama, parts, { kept: { energy: 1 } });
      const found = await changes(await written(all), llama);
      assertSame(found, expected, options.type);
      const { modules } = await combined(llama, parts, { kept: { rank: 2 } });
      const length = (numbers: Float64Array): number => Math.hypot(...numbers);
      for (const { path: name, norm, error, rank } of modules) {
        const whole = length(expected.get(`${name}.weight`)!);
        assert.equal(rank, 2);
        assert.ok(Math.abs(norm ** 2 + (error * whole) ** 2 - whole ** 2) < 1e-3 * whole ** 2, name);
      }
      // Cosines and signs of matrices are those of the numbers themselves.
      const [one, two] = [await changes(adapter, llama), await changes(other, llama)];
      for (const { path: name, pairs } of modules.filter((each) => each.pairs.length > 0)) {
        const [a, b] = [one.get(`${name}.weight`)!, two.get(`${name}.weight`)!];
        const inner = a.reduce((sum, each, at) => sum + each * b[at]!, 0);
        assert.ok(Math.abs(pairs[0]!.cosine! - inner / (length(a) * length(b))) < 1e-5, name);
      }
    }
  });

  test('of biases: they become the biases of a LoRA', async () => {
    const gpt2 = MODELS[2]!;
    const biases = await drawnAdapter(fresh(), 1, { type: 'bitfit' }, gpt2);
    const other = await drawnAdapter(fresh(), 2, { type: 'lora', r: 3, target_modules: ['c_attn'] }, gpt2);
    const parts = [
      { adapter: biases, weight: 2 },
      { adapter: other, weight: -1 },
    ];
    const sum = await combined(gpt2, parts);
    assert.equal(sum.saved.config['bias'], 'all');
    const expected = await weightedSum(
      parts.map(({ adapter, weight }) => ({ adapter, weight: () => weight })),
      gpt2,
    );
    assertSame(await changes(await written(sum), gpt2), expected, 'BitFit and LoRA');
  });
});
