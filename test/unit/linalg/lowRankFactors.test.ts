import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { factored, refactored } from '../../../src/linalg/lowRankFactors.js';
import type { LowRankFactors } from '../../../src/linalg/lowRankFactors.js';
import { multiplied, plainProducts, transposed } from '../../../src/linalg/products.js';
import { thinQr } from '../../../src/linalg/qr.js';

const draws = random(4, 'factors');
const normals = (size: number): Float64Array => Float64Array.from({ length: size }, () => draws.normal());

/** A matrix [rows, columns] with these singular values. */
function withSpectrum(s: readonly number[], rows: number, columns: number): Float64Array {
  const u = thinQr(normals(rows * s.length), rows, s.length).q;
  const v = thinQr(normals(columns * s.length), columns, s.length).q;
  const scaled = u.map((value, at) => value * s[at % s.length]!);
  return multiplied(scaled, transposed(v, columns, s.length), rows, s.length);
}

/** ‖M − B·A‖ / ‖M‖ */
function measured(matrix: Float64Array, { b, a, r }: LowRankFactors, rows: number): number {
  const product = multiplied(Float64Array.from(b), Float64Array.from(a), rows, r);
  const squares = (numbers: Float64Array): number => numbers.reduce((sum, each) => sum + each * each, 0);
  return Math.sqrt(squares(matrix.map((each, at) => each - product[at]!)) / squares(matrix));
}

describe('low-rank factors', () => {
  const spectrum = [9, 5, 3, 1, 0.5];
  const squares = spectrum.reduce((sum, each) => sum + each * each, 0);
  const tail = (r: number): number =>
    Math.sqrt(spectrum.slice(r).reduce((sum, each) => sum + each * each, 0) / squares);

  for (const [rows, columns] of [
    [12, 7],
    [7, 12],
  ] as const) {
    test(`of a ${rows} × ${columns} matrix are as near as their rank allows, and say how near`, async () => {
      const matrix = withSpectrum(spectrum, rows, columns);
      for (const rank of [1, 2, 4, 5, 40]) {
        const factors = await factored(plainProducts(matrix, rows, columns), { rank });
        assert.equal(factors.r, Math.min(rank, 7));
        assert.ok(Math.abs(factors.error - tail(rank)) < 1e-6, `${rank}: ${factors.error}`);
        assert.ok(Math.abs(measured(matrix, factors, rows) - tail(rank)) < 1e-6);
      }
    });

    test(`of a ${rows} × ${columns} product are those of the matrix`, async () => {
      for (const r of [5, 9]) {
        const [b, a] = [normals(rows * r), normals(r * columns)];
        const matrix = multiplied(b, a, rows, r);
        for (const rank of [1, 3]) {
          const direct = await factored(plainProducts(matrix, rows, columns), { rank });
          const factors = await refactored({ b, a, r }, { rank });
          assert.equal(factors.r, rank);
          assert.ok(Math.abs(factors.error - direct.error) < 1e-9);
          assert.ok(Math.abs(measured(matrix, factors, rows) - direct.error) < 1e-6);
        }
        const whole = await refactored({ b, a, r }, { rank: r });
        assert.ok(measured(matrix, whole, rows) < 1e-6);
      }
    });
  }

  test('take as many values as the energy needs', async () => {
    const matrix = withSpectrum(spectrum, 12, 7);
    const products = plainProducts(matrix, 12, 7);
    for (const [rank, energy] of [
      [1, 81 / squares - 1e-9],
      [2, 81 / squares + 1e-6],
      [3, 0.98],
      [4, (squares - 0.25) / squares - 1e-9],
    ] as const) {
      assert.equal((await factored(products, { energy })).r, rank, String(energy));
    }
    assert.ok((await factored(products, { energy: 1 })).error < 1e-6);
  });

  test('look for more values where those looked for first are not enough', async () => {
    const flat = Array.from({ length: 40 }, () => 1);
    const matrix = withSpectrum(flat, 50, 45);
    const { r, error } = await factored(plainProducts(matrix, 50, 45), { energy: 0.9 - 1e-9 });
    assert.equal(r, 36);
    assert.ok(Math.abs(error - Math.sqrt(0.1)) < 1e-6);
  });

  test('of zeros are zeros', async () => {
    for (const kept of [{ rank: 2 }, { energy: 0.9 }]) {
      const { r, a, b, error } = await factored(plainProducts(new Float64Array(12), 4, 3), kept);
      assert.ok(r >= 1);
      assert.equal(error, 0);
      assert.ok([...a, ...b].every((each) => each === 0));
      const again = await refactored({ b: new Float64Array(8), a: new Float64Array(10), r: 2 }, kept);
      assert.ok([...again.a, ...again.b].every((each) => each === 0));
    }
  });
});
