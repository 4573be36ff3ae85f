// Dynamic-rank DoRA (Mao et al. 2024): single-rank components, the least of which are pruned in the middle of the run.
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { ProblemError } from '../../../src/common/problem.js';
import { attachMethods } from '../../../src/engines/session.js';
import { DoraRankOptions, doraRank } from '../../../src/methods/doraRank.js';
import { componentShares, meanVariance } from '../../../src/methods/doraRankScores.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import { scaledPair } from '../../../src/methods/scaledPair.js';
import type { Site } from '../../../src/models/site.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value as Numbers } from '../../../src/runtime/runtime.js';
import { input } from '../../../src/tensor/tensor.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { readTorchSteps, readValues, takeSteps } from '../../support/torchSteps.js';
import { randomValues } from './fakeModel.js';

interface Step {
  readonly variance: number;
  readonly budget: number;
  readonly kept: number;
  readonly c: Readonly<Record<string, readonly number[]>>;
  readonly scores: readonly number[];
}

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const reference = await readTorchSteps<Step>('dora-rank', 'steps.json');
const initial = await readValues('dora-rank', 'start.safetensors');
const folder = temporaryFolder();
const IDS = [[5, 6, 70, 12, 9]];

function attach(options: object = reference.options): Attached {
  const whole = { type: 'dora_rank', lora_dropout: 0, ...options };
  return doraRank.attach(Value.Parse(DoraRankOptions, whole), opened.context);
}

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

const live = (values: Values): number[] =>
  [...values].flatMap(([name, data]) => (name.endsWith('.lora_scaler') ? data.filter((c) => c !== 0).length : []));

test('a whole run is torch’s: losses, variance, scores, c and which components are left after every step', async () => {
  const method = attach();
  const totalSteps = reference.steps.length;
  const taken = await takeSteps(opened, method, initial, reference);
  for (const [at, step] of reference.steps.entries()) {
    const place = { step: at + 1, totalSteps };
    const { loss, terms, gradientNorm, values } = taken[at]!;
    assert.ok(Math.abs(loss - step.loss) <= 2e-5, `loss ${at + 1}: ${loss} for ${step.loss}`);
    assert.ok(Math.abs(terms['variance']! - step.variance) <= 1e-6, `variance ${at + 1}: ${terms['variance']}`);
    assert.ok(Math.abs(gradientNorm - step.gradient_norm) <= 1e-3 * step.gradient_norm, `norm ${at + 1}`);
    assert.equal(method.rankBudget!(place).budget, step.budget);
    assert.equal(sum(values.get('dora_rank.kept')!), step.kept);
    assert.ok(largestDifference(values.get('dora_rank.sensitivity')!, step.scores) <= 1e-5, `scores ${at + 1}`);
    for (const [of, c] of Object.entries(step.c)) {
      const own = values.get(`${of}.lora_scaler`)!;
      assert.ok(largestDifference(own, c) <= 1e-5, `${at + 1}, ${of}: ${own.join()} for ${c.join()}`);
      assert.deepEqual(
        [...own].map((value) => value !== 0),
        c.map((value) => value !== 0),
        `live after step ${at + 1}, ${of}`,
      );
    }
  }
  const { values } = taken.at(-1)!;
  const [logits, ids] = [
    (await readTensors(fixture('dora-rank/logits.safetensors'))).get('logits')!.data,
    await readInputIds(fixture('dora-rank/logits.safetensors')),
  ];
  assert.ok(largestDifference(await logitsOf(opened, ids, { method, values }), logits) <= 1e-4);

  // What is left is a plain LoRA, with ranks of its own.
  const onDisk = await written(method, values, 'whole');
  assert.equal(onDisk.method.type, 'lora');
  assert.ok(largestDifference(await logitsOf(opened, ids, onDisk), logits) <= 1e-4);
});

/** Saved, written and read again. */
async function written(method: Attached, values: Values, name: string): ReturnType<typeof attachAdapter> {
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  assert.equal(saved.config['peft_type'], 'LORA');
  await writeAdapter(path.join(folder, name), saved, { tokenizer, card: '' });
  return attachAdapter(opened, path.join(folder, name));
}

describe('pruning', () => {
  const told = (options: object, totalSteps: number): [number, number][] => {
    const method = attach({ r: 2, start_rank: 4, target_modules: ['q_proj'], ...options });
    const steps = Array.from({ length: totalSteps }, (_, at) => at + 1);
    return steps
      .filter((step) => method.reportsAfter!({ step, totalSteps }))
      .map((step) => [step, method.rankBudget!({ step, totalSteps }).budget]);
  };

  test('from 15 to 50 % of the run by the cube of the share that is over; the last comes in any case', () => {
    // 8 components become 4: int(8 · ½ · (t / 35)³) fewer, t from step 15 on.
    assert.deepEqual(told({ prune_interval_step: 10 }, 100), [
      [15, 8],
      [25, 8],
      [35, 8],
      [45, 6],
      [50, 4],
    ]);
    assert.deepEqual(told({ prune_interval_step: 1000 }, 100), [
      [15, 8],
      [50, 4],
    ]);
    const budget = (step: number): number => attach({ r: 8 }).rankBudget!({ step, totalSteps: 1000 }).budget / 14;
    assert.deepEqual([1, 150, 325, 500, 501, 1000].map(budget), [12, 12, 12 - 7 / 14, 8, 8, 8]);
  });

  test('exactly so many stay as the budget has; of equal scores the first, and no share of nothing prunes one', async () => {
    // A and B of zeros: no gradient, all shares 0, and c moves by its decay alone.
    const method = attach({ ...reference.options, r: 1, prune_interval_step: 1, target_modules: ['q_proj'] });
    const start = [...(await startValues(method.trainables))].map(([name, data]): [string, Float32Array] => [
      name,
      data.fill(name.endsWith('.lora_scaler') ? 1 : 0),
    ]);
    const steps = reference.steps.slice(0, 20);
    const taken = await takeSteps(opened, method, new Map(start), { ...reference, steps });
    for (const [at, { values }] of taken.entries()) {
      const { budget } = method.rankBudget!({ step: at + 1, totalSteps: 20 });
      const kept = values.get('dora_rank.kept')!;
      assert.deepEqual(
        [...kept],
        Array.from({ length: 8 }, (_, place) => (place < budget ? 1 : 0)),
      );
    }
    const counts = taken.map(({ values }) => sum(values.get('dora_rank.kept')!));
    // From step 3 to step 10 int(8 · ¾ · (t / 7)³) are pruned, none at first.
    assert.deepEqual(counts.slice(0, 11), [8, 8, 8, 8, 8, 8, 7, 6, 5, 2, 2]);
    assert.deepEqual(live(taken.at(-1)!.values), [2, 0]);

    // A module without components is no target of the LoRA; without any the adapter is the base model.
    const saved = method.save(taken.at(-1)!.values);
    assert.ok(saved.kind === 'adapter');
    assert.deepEqual(saved.config['target_modules'], ['model.layers.0.self_attn.q_proj']);
    assert.deepEqual([saved.config['r'], saved.config['lora_alpha']], [1, 2]);
    assert.deepEqual(saved.config['rank_pattern'], { 'model.layers.0.self_attn.q_proj': 2 });
    assert.deepEqual(saved.config['alpha_pattern'], { 'model.layers.0.self_attn.q_proj': 4 });
    const none = new Map(start.map(([name, data]) => [name, name.endsWith('r') ? data.map(() => 0) : data]));
    const onDisk = await written(method, none, 'none');
    assert.equal(largestDifference(await logitsOf(opened, IDS, onDisk), await logitsOf(opened, IDS)), 0);
  });

  test('pruned c come back until the last pruning, and scores move no more after it', async () => {
    const method = attach();
    const taken = await takeSteps(opened, method, initial, reference);
    const counts = taken.map(({ values }) => sum(live(values)));
    assert.deepEqual(counts.slice(10, 16), [22, 24, 24, 16, 12, 12]);
    assert.ok(counts.slice(14).every((count) => count === 12));
    const scores = taken.map(({ values }) => values.get('dora_rank.sensitivity')!);
    assert.notDeepEqual(scores[14], scores[13]);
    for (const each of scores.slice(15)) assert.deepEqual(each, scores[14]);
  });

  test('ranks are told as they were pruned last, although every c trains on', async () => {
    const method = attach();
    const taken = await takeSteps(opened, method, initial, reference);
    const ranks = ({ values }: { values: Values }): number[] => method.report!(values).map(({ rank }) => rank!);
    assert.equal(sum(ranks(taken[0]!)), 24);
    assert.deepEqual(ranks(taken[12]!), ranks(taken[10]!));
    assert.deepEqual(ranks(taken[14]!), live(taken[14]!.values));
    const { scale, norm } = method.report!(taken[14]!.values)[0]!;
    assert.equal(scale, 2);
    assert.ok(norm! > 0);
    assert.equal(method.report!(taken[14]!.values, true)[0]!.norm, undefined);
  });

  test('a run without a step to prune in, ranks that would rise and shares without a middle are refused', () => {
    const refused = (code: string) => (error: unknown) =>
      error instanceof ProblemError && error.problem.code === code;
    assert.throws(() => attach({ r: 8, start_rank: 7 }), refused('dora-rank.rank'));
    assert.throws(
      () => attach({ start_prune_step_ratio: 0.5, end_prune_step_ratio: 0.5 }),
      refused('dora-rank.ratios'),
    );
    const short = attach();
    assert.throws(() => short.stepInputs!({ step: 1, totalSteps: 2 }), refused('dora-rank.schedule'));
    assert.equal(short.rankBudget!({ step: 3, totalSteps: 3 }).budget, 12);
  });
});

/** What a graph gives for values of its inputs. */
async function computed(result: Tensor, feeds: Readonly<Record<string, Numbers>>): Promise<Float32Array> {
  const runtime = await onnxRuntime({ threads: 1 });
  const program = await runtime.compile({ result });
  const { result: found } = await program.run(feeds);
  await program.dispose();
  return found!.data as Float32Array;
}

const matrix = (rows: number, columns: number, data: readonly number[]): Numbers => ({
  dtype: 'float32',
  shape: [rows, columns],
  data: Float32Array.from(data),
});

describe('the share of a component', () => {
  const shares = (a: readonly number[], b: readonly number[], c: readonly number[]): Promise<Float32Array> => {
    const [rowsA, rowsB] = [a.length / c.length, b.length / c.length];
    const tensors = [
      input('a', 'float32', [c.length, rowsA]),
      input('b', 'float32', [rowsB, c.length]),
      input('c', 'float32', [c.length, 1]),
    ] as const;
    return computed(componentShares(...tensors), {
      a: matrix(c.length, rowsA, a),
      b: matrix(rowsB, c.length, b),
      c: matrix(c.length, 1, c),
    });
  };
  const A = [3, 4, 0, 0, 0, 2];
  const B = [1, 0, 0, 2, 0, 0];

  test('is its Frobenius norm over that of their sum', async () => {
    // Orthogonal components of norms ½·5·1 and 3·2·2: the sum has the norm √(2.5² + 12²).
    const whole = Math.hypot(2.5, 12);
    const found = await shares(A, B, [0.5, -3]);
    assert.ok(largestDifference(found, [2.5 / whole, 12 / whole]) <= 1e-6, found.join());
    // One alone is all there is; of two that are opposite each is far more than their sum.
    assert.ok(largestDifference(await shares([1, 2, 3], [4], [0.1]), [1]) <= 1e-6);
    const opposite = await shares([1, 2, 1, 2], [1, 1], [1, -1]);
    assert.ok(
      opposite.every((share) => share > 1e3 && Number.isFinite(share)),
      opposite.join(),
    );
    assert.deepEqual([...(await shares(A, B, [0, 0]))], [0, 0]);
  });

  test('stays where a is doubled and c halved', async () => {
    const twice = A.map((value, at) => (at < 3 ? 2 * value : value));
    assert.ok(largestDifference(await shares(twice, B, [0.25, -3]), await shares(A, B, [0.5, -3])) <= 1e-6);
  });
});

describe('the variance term', () => {
  const site: Site = { ...opened.model.sites.find(({ kind }) => kind === 'linear')!, path: 'm', shape: [2, 3] };
  const pair = scaledPair(site, 2, 1, '', 'c');
  const term = (a: readonly number[], b: readonly number[]): Promise<Float32Array> =>
    computed(meanVariance([pair]), { 'm.lora_A': matrix(2, 3, a), 'm.lora_B': matrix(2, 2, b) });

  test('is the mean of the sample variances of all a and b, and 0 of constant vectors', async () => {
    // a: (1, 2, 3) and (5, 5, 5); b, by column: (0, 2) and (1, 5). Variances 1, 0, 2, 8.
    const found = await term([1, 2, 3, 5, 5, 5], [0, 1, 2, 5]);
    assert.ok(Math.abs(found[0]! - 11 / 4) <= 1e-6, found.join());
    assert.equal((await term([7, 7, 7, -2, -2, -2], [3, 9, 3, 9]))[0], 0);
  });
});

test('starts as the base model with A and B Kaiming uniform; the first step moves c alone', async () => {
  const method = attach({ r: 8, regularization_loss_alpha: 0 });
  const values = await startValues(method.trainables);
  assert.equal(largestDifference(await logitsOf(opened, IDS, { method, values }), await logitsOf(opened, IDS)), 0);
  for (const { variable } of method.trainables) {
    const data = values.get(variable.name)!;
    if (variable.name.endsWith('.lora_scaler')) assert.ok(data.every((c) => c === 0));
    else {
      // A reads the module's inputs, B the twelve components.
      const bound = Math.sqrt(6 / (variable.name.endsWith('.lora_A') ? Number(variable.shape[1]) : 12));
      const largest = Math.max(...data.map(Math.abs));
      assert.ok(largest <= bound && largest > 0.95 * bound, variable.name);
    }
  }
  const counted = method.coverage.modules.reduce((total, { trainable }) => total + trainable, 0);
  const linear = opened.model.sites.filter((site) => site.kind === 'linear' && !site.isOutput);
  assert.equal(counted, sum(linear.map(({ shape: [out, own] }) => 12 * (out! + own! + 1))));

  const [first] = await takeSteps(opened, method, values, {
    ...reference,
    weight_decay: 0,
    steps: reference.steps.slice(0, 3),
  });
  for (const [name, data] of values) {
    const moved = largestDifference(first!.values.get(name)!, data);
    if (name.endsWith('.lora_scaler')) assert.ok(moved > 0, name);
    else assert.equal(moved, 0, name);
  }
});

test('merged = applied; saved, and loaded again, it does the same', async () => {
  const method = attach();
  const { values } = (await takeSteps(opened, method, initial, reference)).at(-1)!;
  const adapter = await written(method, values, 'merged');
  for (const site of opened.model.sites.filter(({ kind }) => kind === 'linear')) {
    const base = await opened.context.read(site.weight!);
    const [ours, lora] = [
      method.merge!(site, 'weight', base, values) ?? base,
      adapter.method.merge!(site, 'weight', base, adapter.values) ?? base,
    ];
    assert.ok(largestDifference(ours, lora) <= 1e-6, site.path);
    const { norm = 0 } = method.report!(values).find(({ path: of }) => of === site.path) ?? {};
    const change = Math.hypot(...ours.map((value, at) => value - base[at]!));
    assert.ok(Math.abs(change - norm) <= 1e-4 * norm, site.path);
  }
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const again = method.load(new Map(saved.tensors.map((each) => [each.name, each])), 'here').values;
  const [before, after] = [
    await logitsOf(opened, IDS, { method, values }),
    await logitsOf(opened, IDS, { method, values: again }),
  ];
  assert.ok(largestDifference(before, after) <= 1e-5);
  const cut = new Map(
    saved.tensors.map((each) => [each.name, { ...each, shape: [1, 2], data: new Float32Array(2) }]),
  );
  assert.throws(() => method.load(cut, 'here'), { name: 'ProblemError' });
});

test('the head of a classifier is saved beside what is left, and read again', async () => {
  const classes = await openModel(fixture('encoders/tiny-bert-classes'), { type: 'SEQ_CLS' });
  const options = Value.Parse(DoraRankOptions, { type: 'dora_rank', r: 2 });
  const [method] = attachMethods([options], classes.context);
  let pairs = 0;
  const values = new Map(
    [...randomValues(method!)].map(([name, data]) => [
      name,
      name.endsWith('.lora_scaler') && pairs++ % 3 === 0 ? data.map(() => 0) : data.map((each) => 0.3 * each),
    ]),
  );
  const saved = method!.save(values);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(path.join(folder, 'classes'), saved, { tokenizer, card: '' });
  const onDisk = await attachAdapter(classes, path.join(folder, 'classes'));
  const expected = await logitsOf(classes, IDS, { method: method!, values });
  assert.ok(largestDifference(await logitsOf(classes, IDS, onDisk), expected) <= 1e-5);
  assert.ok(largestDifference(await logitsOf(classes, IDS), expected) > 1e-3);
});
