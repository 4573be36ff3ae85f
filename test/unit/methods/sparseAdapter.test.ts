import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { makeBatch } from '../../../src/data/batches.js';
import { attachMethods, prepareMethods } from '../../../src/engines/session.js';
import {
  AdapterOptions,
  bottleneckAdapter,
  denseAdapter,
  sparseCount,
} from '../../../src/methods/bottleneckAdapter.js';
import type { Attached, Prepared, Values } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { optionOf } from '../../../src/methods/targets.js';
import { trainedFeeds } from '../../../src/methods/trainedFeeds.js';
import { gradients } from '../../../src/tensor/grad.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { gradientPasses } from '../../../src/training/gradientPasses.js';
import { batchFeeds, lossGraph } from '../../../src/training/lossGraph.js';
import { problem, temporaryFolder } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, jobOn, loraMethod, run } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const WIDTH = 32;

function optionsOf(options: Partial<AdapterOptions>): AdapterOptions {
  return Value.Parse(AdapterOptions, { type: 'adapter', bottleneck_size: 6, ...options });
}

function prepare(config: MethodConfig, before: readonly MethodConfig[] = []): Promise<(Prepared | undefined)[]> {
  return prepareMethods([...before, config], opened.context, (methods: readonly Attached[]) =>
    gradientPasses({
      ...jobOn(opened),
      methods,
      stopRequested: () => false,
      stopped: { code: 'stopped', message: 'stopped' },
    }),
  );
}

async function attached(options: Partial<AdapterOptions>): Promise<Attached> {
  const config = optionsOf(options);
  return attachMethods([config], opened.context, await prepare(config))[0]!;
}

/** The places of the weights that are left, by matrix. */
async function keptIn(options: Partial<AdapterOptions>): Promise<Map<string, readonly number[]>> {
  const method = await attached(options);
  const inputs = method.stepInputs!({ step: 1, totalSteps: 1 });
  return new Map(
    Object.entries(inputs).map(([name, { data }]) => {
      const bits = Array.from(data as Uint8Array);
      return [name.replace('pruned/', ''), bits.flatMap((bit, at) => (bit === 1 ? [at] : []))];
    }),
  );
}

const isMatrix = (name: string): boolean => /adapter_(down\.0|up)\.weight$/.test(name);
const count = (kept: ReadonlyMap<string, readonly number[]>): number =>
  [...kept.values()].reduce((sum, { length }) => sum + length, 0);

/** |w · Σ ∂L/∂w| by a graph of its own: the mean loss of every row by itself, dropout off. */
async function scores(options: AdapterOptions): Promise<Map<string, Float32Array>> {
  const dense = denseAdapter(options, {
    ...opened.context,
    random: (...stream) => opened.context.random('method', 0, ...stream),
  });
  const values = await startValues(dense.trainables);
  const matrices = dense.trainables.map(({ variable }) => variable).filter(({ name }) => isMatrix(name));
  const { lossSum } = lossGraph(opened.model, [dense.hooks], { training: false, positionLimit: 64 });
  const found = gradients(lossSum, matrices);
  const program = await opened.runtime.compile(
    Object.fromEntries(matrices.map(({ name }, at) => [`new ${name}`, found[at]!])),
    opened.weights,
  );
  const sums = new Map(matrices.map(({ name }) => [name, new Float32Array(values.get(name)!.length)]));
  for (const row of UNEVEN.keys()) {
    const batch = makeBatch(UNEVEN, [[row]]);
    const result = await program.run({ ...batchFeeds(batch), ...trainedFeeds([dense], values, program.reads) });
    for (const [name, sum] of sums) {
      (result[`new ${name}`]!.data as Float32Array).forEach(
        (value, at) => (sum[at]! += value / batch.targets.length),
      );
    }
  }
  await program.dispose();
  return new Map(
    [...sums].map(([name, sum]) => [name, sum.map((value, at) => Math.abs(value * values.get(name)![at]!))]),
  );
}

const TOTAL = 4 * 6 * WIDTH;

test('N − ⌈s·N⌉ weights are left over all matrices together, whatever chooses them', async () => {
  for (const pruning of ['snip', 'magnitude', 'random', 'erdos_renyi'] as const) {
    for (const sparsity of [0.3, 0.5, 0.995]) {
      const kept = await keptIn({ sparsity, pruning });
      assert.equal(count(kept), TOTAL - Math.ceil(sparsity * TOTAL), `${pruning} ${sparsity}`);
    }
  }
  assert.throws(
    () => bottleneckAdapter.check!(optionsOf({ sparsity: 0.9999 }), opened.context),
    problem('sparse.nothing', String(TOTAL)),
  );
});

test('SNIP keeps the largest |w·Σg|, the magnitude the largest |w|; they differ', async () => {
  const options = optionsOf({ sparsity: 0.6, pruning: 'snip', pruning_batch_size: 1 });
  const snip = await keptIn(options);
  const byScore = await scores(options);
  const lowest = Math.min(...[...snip].flatMap(([name, places]) => places.map((at) => byScore.get(name)![at]!)));
  for (const [name, own] of byScore) {
    const places = new Set(snip.get(name));
    const wrong = own.findIndex((score, at) => !places.has(at) && score > lowest * (1 + 1e-3));
    assert.equal(wrong, -1, `${name}: ${own[wrong]} is cut, ${lowest} stays`);
  }
  const magnitude = await keptIn({ sparsity: 0.6, pruning: 'magnitude' });
  const start = await startValues(
    denseAdapter(options, {
      ...opened.context,
      random: (...stream) => opened.context.random('method', 0, ...stream),
    }).trainables,
  );
  const smallest = Math.min(
    ...[...magnitude].flatMap(([name, places]) => places.map((at) => Math.abs(start.get(name)![at]!))),
  );
  for (const name of magnitude.keys()) {
    const places = new Set(magnitude.get(name));
    assert.ok(start.get(name)!.every((value, at) => places.has(at) || Math.abs(value) <= smallest));
  }
  assert.notDeepEqual(snip, magnitude);
});

test('Erdős–Rényi: matrices keep in proportion to in + out', async () => {
  const kept = await keptIn({
    sparsity: 0.9,
    pruning: 'erdos_renyi',
    reduction_factor: { 0: 16, default: 2 },
    bottleneck_size: undefined as never,
  });
  const [narrow, wide] = [0, 1].map(
    (layer) => kept.get(`model.layers.${layer}.output_adapters.adapters.adapter.adapter_up.weight`)!.length,
  );
  // [32, 2] and [32, 16]: 34 and 48 edges.
  assert.ok(Math.abs(wide! / narrow! - 48 / 34) < 0.05, `${narrow}, ${wide}`);
});

test('Large-Sparse: 1 / (1 − s) of the bottleneck, as many weights', async () => {
  const large = await attached({ sparsity: 0.5, pruning: 'random', large_sparse: true });
  assert.deepEqual(large.report!(await startValues(large.trainables))[0]!.rank, 12);
  const trainable = large.coverage.modules.reduce((sum, module) => sum + module.trainable, 0);
  assert.equal(trainable, TOTAL + 2 * (WIDTH + 12));
  assert.equal(sparseCount(optionsOf({ sparsity: 0.5, large_sparse: true }), opened.context), trainable);
});

for (const optim of ['adamw', 'sgd', 'adafactor'] as const) {
  test(`what is cut stays exactly zero (${optim}); the rest learns, and is saved with the zeros in place`, async () => {
    const config = optionsOf({ sparsity: 0.5, pruning: 'snip' });
    const methods = attachMethods([config], opened.context, await prepare(config));
    const [method] = methods as [Attached];
    const start = await startValues(method.trainables);
    const { values, events } = await run(opened, {
      methods,
      validation: UNEVEN,
      options: {
        optim,
        learning_rate: 1e-2,
        weight_decay: 0.1,
        max_steps: 6,
        eval_steps: 6,
        sam_rho: optim === 'sgd' ? 0.05 : 0,
      },
    });
    let [zeros, moved] = [0, 0];
    for (const { variable } of method.trainables.filter(({ variable: { name } }) => isMatrix(name))) {
      const [before, after] = [start.get(variable.name)!, values.get(variable.name)!];
      after.forEach((value, at) => {
        if (before[at] === 0) {
          zeros++;
          assert.equal(Math.abs(value), 0);
        } else if (value !== before[at]) moved++;
      });
    }
    assert.deepEqual([zeros, moved], [TOTAL / 2, TOTAL / 2]);
    const masks = eventsOf(events, 'masks').at(-1)!;
    assert.equal(masks.sites.length, 4);
    assert.equal(
      masks.sites.reduce((sum, { density, shape }) => sum + density * shape![0]! * shape![1]!, 0),
      TOTAL / 2,
    );

    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const dense = bottleneckAdapter.attach(optionsOf({}), opened.context);
    const loaded = dense.load(new Map(saved.tensors.map((each) => [each.name, each])), 'file');
    const rows = [[5, 6, 70, 12]];
    const logits = (adapter: { method: Attached; values: Values }): Promise<Float32Array> =>
      logitsOf(opened, rows, adapter);
    assert.equal(
      largestDifference(await logits({ method, values }), await logits({ method: dense, values: loaded.values })),
      0,
    );
  });
}

test('without sparsity nothing is prepared', async () => {
  assert.deepEqual(await prepare(optionsOf({})), [undefined]);
});

test('behind another method: its gradients are taken with it', async () => {
  const alone = await prepare(optionsOf({ sparsity: 0.5 }));
  const [, behind] = await prepare(optionsOf({ sparsity: 0.5 }), [loraMethod({ init_lora_weights: false })]);
  const names = [...behind!.keys()];
  assert.ok(names.every((name) => name.startsWith('1:')));
  assert.notDeepEqual([...behind!.values()], [...alone[0]!.values()]);
});

test('a start at zero leaves nothing to choose by; masks of another method are refused', () => {
  const refused =
    (options: Partial<AdapterOptions>): (() => void) =>
    () =>
      bottleneckAdapter.check!(optionsOf({ sparsity: 0.5, ...options }), opened.context);
  assert.throws(refused({ placement: 'parallel' }), problem('sparse.zero-start', 'init_weights: bert'));
  assert.throws(refused({ placement: 'parallel', pruning: 'magnitude' }), problem('sparse.zero-start'));
  assert.doesNotThrow(refused({ placement: 'parallel', pruning: 'random' }));
  assert.doesNotThrow(refused({ placement: 'parallel', init_weights: 'bert' }));
  assert.throws(
    () => attachMethods([optionsOf({ sparsity: 0.5 })], opened.context),
    problem('method.not-prepared'),
  );
});

test('resumed with the masks that were kept: as if it had run through', async () => {
  const config = optionsOf({ sparsity: 0.5 });
  const prepared = await prepare(config);
  const ran = (name: string, from?: Awaited<ReturnType<typeof readCheckpoint>>): ReturnType<typeof run> =>
    run(opened, {
      methods: attachMethods([config], opened.context, prepared),
      options: {
        per_device_train_batch_size: 4,
        max_steps: 6,
        save_steps: 3,
        save_total_limit: 9,
        learning_rate: 1e-2,
      },
      checkpoints: { runFolder: `${folder}/${name}`, ...(from === undefined ? {} : { from }) },
    });
  const whole = await ran('whole');
  const rest = await ran('rest', await readCheckpoint(checkpointFolder(`${folder}/whole`, 3)));
  assert.deepEqual(rest.values, whole.values);
});

test('options that have no part in what is cut are told', async () => {
  const idleIn = async (options: Partial<AdapterOptions>): Promise<(string | number)[][]> => {
    const { coverage } = await attached(options);
    return coverage.warnings.flatMap((each) => [[each.code, ...(optionOf(each) ?? [])]]);
  };
  const idle = 'sparse.idle-option';
  assert.deepEqual(await idleIn({}), []);
  assert.deepEqual(await idleIn({ sparsity: 0.5, pruning_batch_size: 4, pruning_batches: 1 }), []);
  assert.deepEqual(await idleIn({ pruning: 'random', large_sparse: true, pruning_batches: 2 }), [
    [idle, 'pruning'],
    [idle, 'large_sparse'],
    [idle, 'pruning_batches'],
  ]);
  assert.deepEqual(await idleIn({ sparsity: 0.5, pruning: 'magnitude', pruning_batch_size: 4 }), [
    [idle, 'pruning_batch_size'],
  ]);
});
