import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { allLogits } from '../../../../src/adapters/merging/logits.js';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import { loraHub } from '../../../../src/adapters/combining/loraHub.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import { searchHub } from '../../../../src/engines/searchHub.js';
import type { Attached, Values } from '../../../../src/methods/method.js';
import { problem, temporaryFolder, tokenizer, writeParts } from '../../../support/adapters.js';
import { drawnLora } from '../../../support/drawnLora.js';
import { fixture, largestDifference } from '../../../support/fixtures.js';
import { logitsOf, openModel } from '../../../support/model.js';

const root = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const ROWS = [[5, 6, 70, 12, 9, 44, 3]];
let count = 0;

const drawn = (seed: number): Promise<AdapterOnDisk> =>
  drawnLora(path.join(root, String(++count)), seed, opened.model);

function mixedLogits(method: Pick<Attached, 'hooks' | 'trainables'>, values: Values): Promise<Float32Array> {
  return allLogits({ ...opened, rows: ROWS, methods: [method], values });
}

describe('a mixture of LoRA adapters', () => {
  const weightsOf = (...weights: number[]): Float64Array => Float64Array.from(weights);

  test('is the base at weights 0, an adapter at its weight 1, and c² of one at weight c', async () => {
    const [one, two] = [await drawn(1), await drawn(2)];
    const hub = await loraHub([one, two], opened.context);
    const base = await logitsOf(opened, ROWS, undefined);
    assert.deepEqual(await mixedLogits(hub.method, hub.valuesAt(weightsOf(0, 0))), base);
    for (const [adapter, weights] of [
      [one, weightsOf(1, 0)],
      [one, weightsOf(-1, 0)],
      [two, weightsOf(0, 1)],
    ] as const) {
      const alone = await logitsOf(opened, ROWS, await attachAdapter(adapter, opened.context));
      const gap = largestDifference(await mixedLogits(hub.method, hub.valuesAt(weights)), alone);
      assert.ok(gap < 1e-4, String(gap));
    }
    const attached = await attachAdapter(one, opened.context);
    const scaled = new Map(
      [...attached.values].map(([name, data]) => [
        name,
        /lora_(embedding_)?B$/.test(name) ? data.map((each) => 0.25 * each) : data,
      ]),
    );
    const quarter = await logitsOf(opened, ROWS, { method: attached.method, values: scaled });
    assert.ok(largestDifference(await mixedLogits(hub.method, hub.valuesAt(weightsOf(0.5, 0))), quarter) < 1e-4);
  });

  test('has products of one adapter with another, and is saved as the adapter that it is', async () => {
    for (let seed = 10; seed < 16; seed += 3) {
      const adapters = [await drawn(seed), await drawn(seed + 1), await drawn(seed + 2)];
      const hub = await loraHub(adapters, opened.context);
      const weights = weightsOf(0.7, -0.4, 1.2);
      const inGraph = await mixedLogits(hub.method, hub.valuesAt(weights));
      const folder = path.join(root, `saved-${seed}`);
      await writeAdapter(folder, hub.saved(weights), { tokenizer, card: '' });
      const saved = await attachAdapter(await readAdapter(folder), opened.context);
      assert.ok(largestDifference(inGraph, await logitsOf(opened, ROWS, saved)) < 1e-4);
      // Of the same adapter twice, cross terms make (w₁ + w₂)² of it.
      const twice = await loraHub([adapters[0]!, adapters[0]!], opened.context);
      const half = await mixedLogits(twice.method, twice.valuesAt(weightsOf(0.5, 0.5)));
      const alone = await logitsOf(opened, ROWS, await attachAdapter(adapters[0]!, opened.context));
      assert.ok(largestDifference(half, alone) < 1e-4);
    }
  });

  test('is refused of one adapter, of another kind, and of what trained whole', async () => {
    const lora = await drawn(1);
    const scaled = await readAdapter(fixture('ia3', 'llama'));
    const biased = await readAdapter(
      await writeParts(path.join(root, 'biased'), {
        config: { ...lora.config, modules_to_save: ['norm'] },
        tensors: [
          ...(await lora.loadTensors()).values(),
          ...opened.model.sites
            .filter(({ path: at }) => at.endsWith('norm'))
            .map(({ path: at, shape }) => ({
              name: `base_model.model.${at}.weight`,
              shape: [...shape],
              data: new Float32Array(shape[0]!).fill(1),
            })),
        ],
      }),
    );
    await assert.rejects(loraHub([lora], opened.context), problem('compose.count'));
    await assert.rejects(loraHub([lora, scaled], opened.context), problem('compose.method', 'IA3'));
    await assert.rejects(loraHub([lora, biased], opened.context), problem('compose.whole', 'norm'));
  });
});

describe('the search for weights', () => {
  const hub = { valuesAt: (weights: Float64Array): Values => new Map([['w', Float32Array.from(weights)]]) };
  const search = { budget: 60, bound: 1.5, regularization: 0.05 };

  test('begins with the base model, asks as often as it may, and weighs the size of the weights', async () => {
    const told: number[] = [];
    const { best, trials } = await searchHub(
      hub,
      3,
      search,
      (values) => {
        const [a, b, c] = values.get('w')! as unknown as [number, number, number];
        return Promise.resolve((a - 1) ** 2 + (b + 0.5) ** 2 + 0 * c);
      },
      (_, done) => Promise.resolve(void told.push(done)),
    );
    assert.equal(trials.length, 60);
    assert.deepEqual(
      told,
      Array.from({ length: 60 }, (_, at) => at + 1),
    );
    assert.deepEqual(trials[0], { weights: [0, 0, 0], loss: 1.25, penalty: 0, objective: 1.25 });
    for (const { weights, loss, objective } of trials) {
      assert.ok(weights.every((each) => Math.abs(each) <= 1.5));
      const size = weights.reduce((sum, each) => sum + Math.abs(each), 0) / 3;
      assert.ok(Math.abs(objective - loss - 0.05 * size) < 1e-12);
    }
    // The minimum of (a − 1)² + 0.05·|a|/3 lies at 1 − 0.05/6.
    for (const [at, expected] of [1 - 0.05 / 6, -0.5 + 0.05 / 6, 0].entries()) {
      assert.ok(Math.abs(best.weights[at]! - expected) < 0.02, String(best.weights));
    }
  });

  test('is not misled by mixtures whose loss is no number', async () => {
    const { best } = await searchHub(
      hub,
      2,
      search,
      (values) => {
        const [a, b] = values.get('w')! as unknown as [number, number];
        return Promise.resolve(a > 0.3 ? NaN : (a + 1) ** 2 + b * b);
      },
      () => Promise.resolve(),
    );
    assert.ok(Number.isFinite(best.objective));
    assert.ok(Math.abs(best.weights[0]! + 1) < 0.1, String(best.weights));
  });

  test('finds the best where the base model itself has no finite loss', async () => {
    const { best, trials } = await searchHub(
      hub,
      2,
      search,
      (values) => {
        const [a, b] = values.get('w')! as unknown as [number, number];
        return Promise.resolve(a === 0 && b === 0 ? NaN : (a - 1) ** 2 + b * b);
      },
      () => Promise.resolve(),
    );
    assert.ok(Number.isNaN(trials[0]!.objective));
    assert.equal(best.objective, Math.min(...trials.slice(1).map(({ objective }) => objective)));
  });
});
