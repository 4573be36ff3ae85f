import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { addLowRank, lowRankNorm, transposed } from '../../../src/linalg/products.js';
import { largestDifference } from '../../support/fixtures.js';

const generator = random(3, 'products');
const matrix = (rows: number, columns: number): Float32Array =>
  Float32Array.from({ length: rows * columns }, () => generator.normal());

/** B·A in double precision, entry by entry. */
function product(b: Float32Array, a: Float32Array, rows: number, r: number): number[] {
  const columns = a.length / r;
  return Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    return Array.from({ length: r }, (_, k) => b[i * r + k]! * a[k * columns + j]!).reduce((x, y) => x + y, 0);
  });
}

for (const [rows, r, columns] of [
  [5, 3, 7],
  [1, 1, 1],
  [4, 6, 2],
  [3, 2, 64],
] as const) {
  const [w, b, a] = [matrix(rows, columns), matrix(rows, r), matrix(r, columns)];
  const ba = product(b, a, rows, r);

  test(`addLowRank of [${rows}, ${r}] and [${r}, ${columns}] is rounded once`, () => {
    const before = Float32Array.from(w);
    const found = addLowRank(w, b, a, -1.5, rows, r);
    const exact = ba.map((value, at) => w[at]! - 1.5 * value);
    assert.ok(largestDifference(found, Float32Array.from(exact)) <= 1e-6);
    assert.ok(exact.some((value, at) => value !== w[at]));
    assert.deepEqual(w, before, 'the base is left as it is');
  });

  test(`lowRankNorm of [${rows}, ${r}] and [${r}, ${columns}]`, () => {
    const norm = Math.hypot(...ba);
    assert.ok(Math.abs(lowRankNorm(b, a, r) - norm) <= 1e-10 * norm);
  });

  test(`transposed [${rows}, ${columns}]`, () => {
    const found = transposed(w, rows, columns);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) assert.equal(found[j * rows + i], w[i * columns + j]);
    }
    assert.deepEqual(transposed(found, columns, rows), w);
  });
}

test('a B of zeros leaves the base bit for bit and has norm 0', () => {
  const [w, a] = [matrix(3, 4), matrix(2, 4)];
  assert.deepEqual(addLowRank(w, new Float32Array(6), a, 8, 3, 2), w);
  assert.equal(lowRankNorm(new Float32Array(6), a, 2), 0);
});

test('columns that cancel: the trace does not go below 0', () => {
  const a = matrix(1, 50);
  const both = Float32Array.from([...a, ...a]);
  const b = Float32Array.from([1, -1, 3, -3]);
  assert.ok(lowRankNorm(b, both, 2) < 1e-5);
});
