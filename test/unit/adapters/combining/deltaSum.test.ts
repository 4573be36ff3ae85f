import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { sumDeltas } from '../../../../src/adapters/combining/deltaSum.js';
import type { DeltaSum } from '../../../../src/adapters/combining/deltaSum.js';
import { random } from '../../../../src/common/random.js';

const streams = (at: number): ReturnType<typeof random> => random(5, 'dare', at);

function near(ours: Float32Array, theirs: readonly number[], what: string): void {
  assert.equal(ours.length, theirs.length);
  for (const [at, value] of theirs.entries()) {
    assert.ok(Math.abs(ours[at]! - value) < 1e-6, `${what} at ${at}: ${ours[at]}, expected ${value}`);
  }
}

describe('the sum of deltas', () => {
  test('is what HF PEFT computes', () => {
    const { deltas, weights, cases } = JSON.parse(
      readFileSync(new URL('../../../fixtures/combine-kinds/sums.json', import.meta.url), 'utf8'),
    ) as { deltas: number[][]; weights: number[]; cases: { how: DeltaSum; sum: number[] }[] };
    const parts = deltas.map((delta, at) => ({ delta: Float32Array.from(delta), weight: weights[at]! }));
    assert.equal(cases.length, 10);
    for (const { how, sum } of cases) near(sumDeltas(parts, how, streams).sum, sum, JSON.stringify(how));
  });

  test('of one at weight 1 that keeps all is itself, whatever the kind', () => {
    const draws = random(1, 'delta');
    const delta = Float32Array.from({ length: 50 }, () => draws.normal());
    const kinds: DeltaSum[] = [
      { kind: 'linear' },
      { kind: 'magnitude_prune', density: 1 },
      { kind: 'dare_linear', density: 1 },
      { kind: 'ties', density: 1, majority_sign_method: 'total' },
      { kind: 'dare_ties', density: 1, majority_sign_method: 'frequency' },
    ];
    for (const how of kinds)
      assert.deepEqual(sumDeltas([{ delta, weight: 1 }], how, streams).sum, delta, how.kind);
  });

  test('of a delta and its opposite by weight is zero', () => {
    const draws = random(2, 'delta');
    const delta = Float32Array.from({ length: 50 }, () => draws.normal());
    const pair = [
      { delta, weight: 1 },
      { delta, weight: -1 },
    ];
    const zero = new Float32Array(50);
    const kinds: DeltaSum[] = [
      { kind: 'linear' },
      { kind: 'magnitude_prune', density: 0.3 },
      { kind: 'ties', density: 0.3, majority_sign_method: 'total' },
      { kind: 'ties', density: 1, majority_sign_method: 'frequency' },
    ];
    for (const how of kinds)
      assert.ok(sumDeltas(pair, how, streams).sum.every((each, at) => Math.abs(each) === zero[at]));
  });

  test('by DARE has the mean of the deltas, and the share of zeros that density leaves', () => {
    const delta = new Float32Array(20_000).fill(0.5);
    const { sum, pruned } = sumDeltas([{ delta, weight: 2 }], { kind: 'dare_linear', density: 0.25 }, streams);
    const kept = sum.filter((each) => each !== 0);
    // Three standard deviations of a share of 20,000 draws.
    assert.ok(Math.abs(kept.length / 20_000 - 0.25) < 3 * Math.sqrt((0.25 * 0.75) / 20_000), String(kept.length));
    assert.ok(kept.every((each) => each === 4));
    const left = 1 - kept.length / 20_000;
    assert.ok(Math.abs(pruned!.numbers - left) < 1e-12 && Math.abs(pruned!.squares - left) < 1e-12);
  });

  test('by DARE draws for each delta anew', () => {
    const delta = new Float32Array(64).fill(1);
    const parts = [
      { delta, weight: 1 },
      { delta, weight: 10 },
    ];
    const { sum } = sumDeltas(parts, { kind: 'dare_linear', density: 0.5 }, streams);
    assert.deepEqual(
      [...new Set(sum)].sort((a, b) => a - b),
      [0, 2, 20, 22],
    );
  });

  test('says what pruning and the election leave out', () => {
    // 0.5 of each stays: [4, 0, −3, 0] and [0, −2, 0, −6] at weight 2; only zeros are against a sign.
    const parts = [
      { delta: Float32Array.of(4, 1, -3, 0), weight: 1 },
      { delta: Float32Array.of(1, -2, 0, -6), weight: 2 },
    ];
    const method = { density: 0.5, majority_sign_method: 'total' } as const;
    const apart = sumDeltas(parts, { kind: 'ties', ...method }, streams);
    assert.deepEqual([...apart.sum], [4, -4, -3, -12]);
    assert.equal(apart.pruned!.numbers, 2 / 6);
    const squares = 16 + 1 + 9 + 4 * (1 + 4 + 36);
    assert.ok(Math.abs(apart.pruned!.squares - (1 + 4) / squares) < 1e-12);
    assert.deepEqual(apart.outvoted, { numbers: 0, squares: 0 });
    // All stay. +4 + 1 wins; 1 − 2 loses the 1; the rest agree or stand alone.
    const all = sumDeltas(parts, { kind: 'ties', ...method, density: 1 }, streams);
    assert.deepEqual([...all.sum], [(4 + 2) / 2, -4, -3, -12]);
    assert.deepEqual(all.pruned, { numbers: 0, squares: 0 });
    assert.equal(all.outvoted!.numbers, 1 / 6);
    assert.ok(Math.abs(all.outvoted!.squares - 1 / squares) < 1e-12);
    assert.equal(sumDeltas(parts, { kind: 'linear' }, streams).pruned, undefined);
  });
});
