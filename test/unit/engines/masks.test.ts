import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareMasks } from '../../../src/engines/masks/compareMasks.js';
import { placeOfTensor } from '../../../src/engines/masks/maskTensor.js';
import type { MaskTensor } from '../../../src/engines/masks/maskTensor.js';
import type { OpenedMask } from '../../../src/engines/masks/openMask.js';
import { addedUp, expectedJaccard, jaccard, overlapOf } from '../../../src/engines/masks/overlap.js';
import { placesCount, sharedCount } from '../../../src/engines/masks/places.js';
import type { Places } from '../../../src/engines/masks/places.js';
import { random } from '../../../src/common/random.js';
import { packedBits } from '../../../src/methods/bitMask.js';
import { problem } from '../../support/adapters.js';

const list = (...indices: number[]): Places => ({ kind: 'list', indices: Int32Array.from(indices) });
const bits = (size: number, ...indices: number[]): Places => ({
  kind: 'bits',
  words: packedBits(Uint8Array.from({ length: size }, (_, at) => Number(indices.includes(at)))),
});
const ALL: Places = { kind: 'all' };

test('Jaccard by hand: {0, 2, 5} and {2, 3, 5, 9} of 10 share 2 of 5; at random 1.2 of 5.8 in the mean', () => {
  const overlap = overlapOf(3, 4, sharedCount(list(0, 2, 5), list(2, 3, 5, 9), 10), 10);
  assert.equal(jaccard(overlap), 2 / 5);
  assert.ok(Math.abs(expectedJaccard(overlap)! - 1.2 / 5.8) < 1e-15);
  // Each tensor has its own expectation: together 1.2 + 0 of 7 + 1 places.
  const both = addedUp([overlap, overlapOf(0, 1, 0, 5)]);
  assert.deepEqual(both, { one: 3, other: 5, shared: 2, expectedShared: 1.2, size: 15 });
  assert.equal(jaccard(both), 2 / 6);
  assert.equal(jaccard(overlapOf(0, 0, 0, 7)), undefined);
  assert.equal(jaccard(overlapOf(7, 7, 7, 7)), 1);
  assert.equal(expectedJaccard(overlapOf(7, 7, 7, 7)), 1);
});

test('random masks overlap as is expected of them', () => {
  const rng = random(1, 'masks');
  const [size, a, b] = [400, 40, 100];
  const draw = (count: number): Places => {
    const found = new Set<number>();
    while (found.size < count) found.add(Math.floor(rng.uniform() * size));
    return list(...[...found].sort((one, other) => one - other));
  };
  let shared = 0;
  const rounds = 500;
  for (let round = 0; round < rounds; round++) shared += sharedCount(draw(a), draw(b), size);
  // 10 in the mean; the standard deviation of the mean over the rounds is 0.12.
  assert.ok(Math.abs(shared / rounds - overlapOf(a, b, 0, size).expectedShared) < 0.5, `${shared / rounds}`);
});

test('whole tensors, places and packed bits are counted alike, and the spare bits of the last word are not', () => {
  const rng = random(2, 'masks');
  for (const size of [1, 31, 32, 33, 64, 100]) {
    const pick = (): number[] => Array.from({ length: size }, (_, at) => at).filter(() => rng.uniform() < 0.4);
    const [one, other] = [pick(), pick()];
    const expected = one.filter((place) => other.includes(place)).length;
    for (const a of [list(...one), bits(size, ...one)]) {
      assert.equal(placesCount(a, size), one.length);
      for (const b of [list(...other), bits(size, ...other)]) {
        assert.equal(sharedCount(a, b, size), expected, `${size} ${a.kind} ${b.kind}`);
      }
      assert.equal(sharedCount(a, ALL, size), one.length);
      assert.equal(sharedCount(ALL, a, size), one.length);
    }
  }
  const full: Places = { kind: 'bits', words: Int32Array.of(-1, -1) };
  assert.deepEqual([placesCount(full, 33), sharedCount(full, full, 33), placesCount(full, 64)], [33, 33, 64]);
  assert.equal(placesCount(ALL, 7), 7);
});

test('where a tensor belongs: its layer, and bias, norm or the name of its module', () => {
  const place = (name: string, isNorm = false): unknown[] => Object.values(placeOfTensor(name, isNorm));
  assert.deepEqual(place('model.layers.3.self_attn.q_proj.weight'), ['model.layers.3', 'q_proj']);
  assert.deepEqual(place('model.layers.3.self_attn.q_proj.bias'), ['model.layers.3', 'bias']);
  assert.deepEqual(place('bert.encoder.layer.11.output.LayerNorm.weight', true), [
    'bert.encoder.layer.11',
    'norm',
  ]);
  assert.deepEqual(place('bert.encoder.layer.11.output.LayerNorm.bias', true), ['bert.encoder.layer.11', 'bias']);
  assert.deepEqual(place('model.norm.weight', true), [undefined, 'norm']);
  assert.deepEqual(place('lm_head.weight'), [undefined, 'lm_head']);
  assert.deepEqual(place('model.layers.0.mlp.up_proj.lora_A'), ['model.layers.0', 'up_proj.lora_A']);
});

function opened(
  folder: string,
  tensors: Readonly<Record<string, readonly [size: number, places: Places]>>,
): OpenedMask {
  return {
    folder,
    method: 'fish_mask',
    base: '/base',
    tensors: Object.entries(tensors).map(([name, [size, places]]): MaskTensor => ({
      name,
      ...placeOfTensor(name, name.includes('norm')),
      size,
      places: () => Promise.resolve(places),
    })),
  };
}

const Q = 'model.layers.0.q_proj.weight';
const K = 'model.layers.1.k_proj.weight';
const NORM = 'model.norm.weight';

test('masks are summed up by layer and kind, each by itself and each with each', async () => {
  const told: number[] = [];
  const report = await compareMasks(
    [
      opened('/a', { [NORM]: [4, ALL], [Q]: [10, list(0, 2, 5)], [K]: [8, list()] }),
      opened('/b', { [NORM]: [4, list(1)], [Q]: [10, list(2, 3, 5, 9)], [K]: [8, list(7)] }),
      // Another mask's adapter may not tell of tensors in which it has none.
      opened('/c', { [Q]: [10, bits(10, 9)] }),
    ],
    (done, total) => told.push(done, total),
  );
  assert.deepEqual(told, [1, 3, 2, 3, 3, 3]);
  const [a, b] = report.masks;
  assert.deepEqual([a!.marked, a!.size, b!.marked], [7, 22, 6]);
  // What stands beside the layers comes last.
  assert.deepEqual(a!.layers, [
    { name: 'model.layers.0', marked: 3, size: 10 },
    { name: 'model.layers.1', marked: 0, size: 8 },
    { name: '', marked: 4, size: 4 },
  ]);
  assert.deepEqual(
    b!.kinds.map(({ name, marked }) => [name, marked]),
    [
      ['norm', 1],
      ['q_proj', 4],
      ['k_proj', 1],
    ],
  );
  const shared = report.pairs.map(({ one, other, total }) => [one, other, total.shared]);
  assert.deepEqual(shared, [
    [0, 1, 3],
    [0, 2, 0],
    [1, 2, 1],
  ]);
  const [first] = report.pairs;
  assert.equal(jaccard(first!.total), 3 / 10);
  assert.ok(Math.abs(first!.total.expectedShared - (1.2 + 0 + 1)) < 1e-12);
  assert.deepEqual(
    first!.layers.map((layer) => [layer.name, jaccard(layer)]),
    [
      ['model.layers.0', 2 / 5],
      ['model.layers.1', 0],
      ['', 1 / 4],
    ],
  );
});

test('one tensor of each mask is in memory at a time, whatever its size', async () => {
  let [open, most] = [0, 0];
  // Two billion numbers each: marks of all of them would not fit in memory.
  const huge = (): OpenedMask => ({
    folder: '/a',
    method: 'fish_mask',
    base: undefined,
    tensors: [Q, K, NORM].map((name) => ({
      name,
      ...placeOfTensor(name, false),
      size: 2 ** 31 - 1,
      places() {
        open += 1;
        most = Math.max(most, open);
        return Promise.resolve(list(0, 2 ** 31 - 2));
      },
    })),
  });
  const { pairs } = await compareMasks([huge(), huge()], () => (open = 0));
  assert.equal(most, 2);
  assert.equal(pairs[0]!.total.shared, 6);
});

test('masks of other models are refused, with both sizes and the folder; so are none and too many', async () => {
  const a = opened('/a', { [Q]: [10, list(1)], [K]: [8, list()] });
  await assert.rejects(
    compareMasks([a, opened('/b', { [Q]: [12, list(1)] })]),
    problem('masks.shapes', 'q_proj', '12 numbers in /b and 10 in /a'),
  );
  await assert.rejects(compareMasks([a, opened('/b', { other: [1, ALL] })]), problem('masks.other-base', '/b'));
  await assert.rejects(compareMasks([]), problem('masks.count'));
  await assert.rejects(compareMasks(Array.from({ length: 9 }, () => a)), problem('masks.count', '9 masks'));
});
