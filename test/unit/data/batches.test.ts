import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { random } from '../../../src/common/random.js';
import { makeBatch, planBatches } from '../../../src/data/batches.js';
import type { BatchOptions, BatchPlan } from '../../../src/data/batches.js';
import type { Batch, Example } from '../../../src/data/example.js';
import { firstFit } from '../../../src/data/firstFit.js';

const rng = random(5, 'test');
const examples: Example[] = Array.from({ length: 1003 }, (_, line) => {
  const length = 2 + rng.integer(30);
  const prompt = rng.integer(length);
  return {
    ids: Array.from({ length }, () => rng.integer(50)),
    supervised: Array.from({ length }, (_, t) => (t >= prompt ? 1 : 0)),
    file: 'x',
    line,
  };
});
const options: BatchOptions = { batchSize: 8, seed: 3, epoch: 0, packing: false, maxLength: 40 };
const both = [options, { ...options, packing: true }];

test('every example is in exactly one batch of an epoch', () => {
  for (const each of both) {
    const plan = planBatches(examples, each);
    assert.deepEqual(
      plan.flat(2).sort((a, b) => a - b),
      examples.map((_, i) => i),
    );
    const short = plan.filter((batch) => batch.length !== 8);
    assert.ok(short.length <= 1 && plan.every((batch) => batch.length <= 8));
  }
});

test('the plan depends on seed and epoch alone', () => {
  for (const each of both) {
    const plan = planBatches(examples, each);
    assert.deepEqual(planBatches(examples, each), plan);
    assert.notDeepEqual(planBatches(examples, { ...each, epoch: 1 }), plan);
    assert.notDeepEqual(planBatches(examples, { ...each, seed: 4 }), plan);
  }
});

/** Share of a plan's positions that are padding. */
function padding(plan: BatchPlan[]): number {
  const batches = plan.map((batch) => makeBatch(examples, batch));
  const positions = batches.reduce((sum, batch) => sum + batch.segments.length, 0);
  const filled = batches.reduce((sum, batch) => sum + batch.segments.filter((segment) => segment > 0).length, 0);
  return 1 - filled / positions;
}

test('lengths are matched: little padding, in batches and in packed rows', () => {
  for (const each of both) assert.ok(padding(planBatches(examples, each)) < 0.06);
  const unsorted = Array.from({ length: 125 }, (_, b) => Array.from({ length: 8 }, (_, i) => [8 * b + i]));
  assert.ok(padding(unsorted) > 0.3);
});

test('the leftover batch is a fair draw of lengths, and batches are not in order of length', () => {
  const mean = (indices: readonly number[]): number =>
    indices.reduce((sum, index) => sum + examples[index]!.ids.length, 0) / indices.length;
  const leftovers: number[] = [];
  const firsts: number[] = [];
  for (let epoch = 0; epoch < 200; epoch++) {
    const plan = planBatches(examples, { ...options, epoch });
    leftovers.push(...plan.find((batch) => batch.length === 3)!.flat());
    firsts.push(...plan[0]!.flat());
  }
  const all = mean([...examples.keys()]);
  // Standard error of 600 draws from lengths with deviation 9: 0.4.
  assert.ok(Math.abs(mean(leftovers) - all) < 1.6, `${mean(leftovers)} against ${all}`);
  assert.ok(Math.abs(mean(firsts) - all) < 3, `${mean(firsts)} against ${all}`);
});

/** Each predicted token with all it may attend to: what the model sees is what must agree. */
function pairs(batch: Batch): string[] {
  return [...batch.predictors].map((predictor, n) => {
    const row = Math.floor(predictor / batch.length) * batch.length;
    const context: string[] = [];
    for (let at = row; at <= predictor; at++) {
      if (batch.segments[at] === batch.segments[predictor])
        context.push(`${batch.positions[at]}:${batch.inputIds[at]}`);
    }
    return `${context.join(' ')} -> ${batch.targets[n]}`;
  });
}

test('packed and padded batches hold the same contexts and targets', () => {
  const [padded, packed] = both.map((each) =>
    planBatches(examples, each)
      .flatMap((batch) => pairs(makeBatch(examples, batch)))
      .sort(),
  );
  const expected = examples.reduce((sum, { supervised }) => sum + supervised.slice(1).filter(Boolean).length, 0);
  assert.equal(padded!.length, expected);
  assert.deepEqual(packed, padded);
});

test('the layout of a packed batch, by hand', () => {
  const small: Example[] = [
    { ids: [11, 12, 13], supervised: [0, 0, 1], file: 'x', line: 1 },
    { ids: [21, 22], supervised: [1, 1], file: 'x', line: 2 },
    { ids: [31, 32, 33, 34], supervised: [0, 1, 0, 1], file: 'x', line: 3 },
  ];
  const batch = makeBatch(small, [[0, 1], [2]]);
  assert.deepEqual(batch, {
    rows: 2,
    length: 5,
    inputIds: Int32Array.of(11, 12, 13, 21, 22, 31, 32, 33, 34, 0),
    positions: Int32Array.of(0, 1, 2, 0, 1, 0, 1, 2, 3, 0),
    segments: Int32Array.of(1, 1, 1, 2, 2, 1, 1, 1, 1, 0),
    types: new Int32Array(10),
    tasks: new Int32Array(10),
    predictors: Int32Array.of(1, 3, 5, 7),
    targets: Int32Array.of(13, 22, 32, 34),
    examples: 3,
    places: [
      { example: 0, start: 0 },
      { example: 1, start: 3 },
      { example: 2, start: 5 },
    ],
  });
});

test('first fit is first fit, and refuses what fits nowhere', () => {
  const lengths = Array.from({ length: 300 }, () => 1 + rng.integer(20));
  const bins: { items: number[]; room: number }[] = [];
  for (const [item, length] of lengths.entries()) {
    let bin = bins.find(({ room }) => room >= length);
    if (bin === undefined) bins.push((bin = { items: [], room: 20 }));
    bin.items.push(item);
    bin.room -= length;
  }
  assert.deepEqual(
    firstFit(lengths, 20),
    bins.map(({ items }) => items),
  );
  assert.deepEqual(firstFit([], 20), []);
  assert.throws(() => firstFit([3, 21], 20), ProblemError);
});

test('a batch size that is no positive integer is refused', () => {
  for (const batchSize of [0, 1.5, NaN])
    assert.throws(() => planBatches(examples, { ...options, batchSize }), ProblemError);
  assert.deepEqual(planBatches([], options), []);
});
