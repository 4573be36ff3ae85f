import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { pruned } from '../../../src/methods/momentPruning.js';

const draws = random(1, 'moments');
const moments = Float32Array.from({ length: 1001 }, () => draws.normal());

/** Of `torch.quantile`: linear between the two numbers around it. */
function quantile(values: Float32Array, share: number): number {
  const sorted = Float64Array.from(values, Math.abs).sort();
  const place = share * (sorted.length - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)];
  return sorted[low]! + (place - low) * (sorted[high]! - sorted[low]!);
}

test('by magnitude what is above the quantile stays, signs and all', () => {
  for (const share of [0, 0.25, 0.5, 0.8, 0.9, 0.999, 0.9995]) {
    const limit = quantile(moments, share);
    const found = pruned(moments, { by: 'magnitude', share }, random(2));
    assert.deepEqual(
      found,
      moments.map((value) => (Math.abs(value) > limit ? value : 0)),
      String(share),
    );
    assert.equal(found.filter((value) => value !== 0).length, 1000 - Math.floor(share * 1000), String(share));
  }
});

test('at random each stays by a draw of its own', () => {
  const [found, wanted] = [random(3, 'pruning'), random(3, 'pruning')];
  const kept = pruned(moments, { by: 'random', share: 0.9 }, found);
  assert.deepEqual(
    kept,
    moments.map((value) => (wanted.uniform() > 0.9 ? value : 0)),
  );
  const count = kept.filter((value) => value !== 0).length;
  assert.ok(count > 60 && count < 140, String(count));
});

test('what is pruned is a copy; of one number none stays', () => {
  const before = moments.slice();
  pruned(moments, { by: 'magnitude', share: 0.9 }, random(4));
  assert.deepEqual(moments, before);
  assert.deepEqual(pruned(Float32Array.of(3), { by: 'magnitude', share: 0.9 }, random(4)), Float32Array.of(0));
  assert.deepEqual(pruned(new Float32Array(), { by: 'magnitude', share: 0.9 }, random(4)), new Float32Array());
});
