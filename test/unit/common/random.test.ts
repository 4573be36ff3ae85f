import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hashText, random, shuffle } from '../../../src/common/random.js';

const COUNT = 40_000;

function uniforms(seed: number, ...stream: (string | number)[]): number[] {
  const rng = random(seed, ...stream);
  return Array.from({ length: COUNT }, () => rng.uniform());
}

/** Of counts that should be equal; `bins − 1` give or take some √(2 (bins − 1)). */
function chiSquare(values: readonly number[], bins: number): number {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) counts[value]!++;
  const expected = values.length / bins;
  return counts.reduce((sum, found) => sum + (found - expected) ** 2 / expected, 0);
}

function assertUniform(values: readonly number[], bins: number): void {
  const found = chiSquare(values, bins);
  assert.ok(Math.abs(found - (bins - 1)) < 4 * Math.sqrt(2 * (bins - 1)), `χ² ${found} of ${bins} bins`);
}

function correlation(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, index) => sum + 12 * (x - 0.5) * (b[index]! - 0.5), 0) / a.length;
}

// Seeds are fixed: what holds once holds always.
describe('random', () => {
  test('is uniform in [0, 1), one by one and in pairs', () => {
    for (const seed of [0, 1, 42, 2 ** 31]) {
      const values = uniforms(seed, 'shuffle', 3);
      assert.ok(values.every((u) => u >= 0 && u < 1));
      assertUniform(
        values.map((u) => Math.floor(u * 100)),
        100,
      );
      assertUniform(
        values.slice(1).map((u, index) => Math.floor(u * 10) * 10 + Math.floor(values[index]! * 10)),
        100,
      );
    }
  });

  test('the same seed and stream give the same numbers', () => {
    assert.deepEqual(uniforms(5, 'dropout', 2), uniforms(5, 'dropout', 2));
  });

  test('other seeds and other streams are uncorrelated, also when shifted', () => {
    const draws = [
      uniforms(5, 'a', 1),
      uniforms(5, 'a', 2),
      uniforms(5, 'b', 1),
      uniforms(6, 'a', 1),
      uniforms(5),
    ];
    for (const [index, draw] of draws.entries()) {
      for (const other of draws.slice(0, index)) {
        for (const shift of [0, 1, 2]) {
          const found = correlation(draw.slice(shift), other);
          assert.ok(Math.abs(found) < 4 / Math.sqrt(COUNT), `draw ${index} shifted by ${shift}: ${found}`);
        }
      }
    }
  });

  test('integers are uniform below their bound', () => {
    const rng = random(1, 'integers');
    const values = Array.from({ length: COUNT }, () => rng.integer(7));
    assert.ok(values.every((value) => Number.isInteger(value) && value >= 0 && value < 7));
    assertUniform(values, 7);
  });

  test('normals have the moments of a normal distribution', () => {
    const rng = random(1, 'normals');
    const values = Array.from({ length: COUNT }, () => rng.normal());
    const moment = (power: number): number => values.reduce((sum, x) => sum + x ** power, 0) / COUNT;
    // Deviations of the estimates: √(1/n), √(2/n), √(15/n), √(96/n).
    assert.ok(Math.abs(moment(1)) < 4 * Math.sqrt(1 / COUNT));
    assert.ok(Math.abs(moment(2) - 1) < 4 * Math.sqrt(2 / COUNT));
    assert.ok(Math.abs(moment(3)) < 4 * Math.sqrt(15 / COUNT));
    assert.ok(Math.abs(moment(4) - 3) < 4 * Math.sqrt(96 / COUNT));
    assert.ok(values.every(Number.isFinite));
  });
});

test('shuffle keeps every item, and every order is equally likely', () => {
  const orders = new Map<string, number>();
  const found: number[] = [];
  const rng = random(3, 'orders');
  for (let i = 0; i < 12_000; i++) {
    const order = shuffle([0, 1, 2, 3], rng);
    assert.deepEqual([...order].sort(), [0, 1, 2, 3]);
    const key = order.join('');
    if (!orders.has(key)) orders.set(key, orders.size);
    found.push(orders.get(key)!);
  }
  assert.equal(orders.size, 24);
  assertUniform(found, 24);
});

test('hashText is FNV-1a', () => {
  // Test vectors of the authors' own suite.
  assert.equal(hashText(''), 0x811c9dc5);
  assert.equal(hashText('a'), 0xe40c292c);
  assert.equal(hashText('foobar'), 0xbf9cf968);
});
