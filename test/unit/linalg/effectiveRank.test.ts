import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { random } from '../../../src/common/random.js';
import {
  MAX_RANK,
  effectiveRank,
  lowRankEffectiveRank,
  lowRankSingularValues,
} from '../../../src/linalg/effectiveRank.js';
import { symmetricEigenvalues } from '../../../src/linalg/symmetricEigen.js';

const generator = random(5, 'effective rank');
const matrix = (rows: number, columns: number): Float32Array =>
  Float32Array.from({ length: rows * columns }, () => generator.normal());

/** Singular values of a dense matrix, largest first: one-sided Jacobi, which shares nothing with what is tested. */
function denseSingularValues(b: Float32Array, a: Float32Array, r: number): number[] {
  const [rows, columns] = [b.length / r, a.length / r];
  const vectors = Array.from({ length: columns }, (_, j) =>
    Array.from({ length: rows }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < r; k++) sum += b[i * r + k]! * a[k * columns + j]!;
      return sum;
    }),
  );
  const dot = (x: number[], y: number[]): number => x.reduce((sum, value, at) => sum + value * y[at]!, 0);
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < columns; p++) {
      for (let q = p + 1; q < columns; q++) {
        const [x, y] = [vectors[p]!, vectors[q]!];
        const [alpha, beta, gamma] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(gamma) <= 1e-15 * Math.sqrt(alpha * beta)) continue;
        const zeta = (beta - alpha) / (2 * gamma);
        const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t);
        const s = c * t;
        vectors[p] = x.map((value, at) => c * value - s * y[at]!);
        vectors[q] = x.map((value, at) => s * value + c * y[at]!);
      }
    }
  }
  return vectors
    .map((vector) => Math.sqrt(dot(vector, vector)))
    .sort((x, y) => y - x)
    .slice(0, Math.min(r, rows, columns));
}

describe('singular values of a low-rank product', () => {
  for (const [rows, r, columns] of [
    [9, 3, 7],
    [1, 1, 1],
    [4, 6, 3],
    [12, 8, 10],
    [24, 16, 20],
  ] as const) {
    const [b, a] = [matrix(rows, r), matrix(r, columns)];
    test(`[${rows}, ${r}] · [${r}, ${columns}] are those of the dense product`, () => {
      const expected = denseSingularValues(b, a, r);
      const found = lowRankSingularValues(b, a, r)!;
      assert.equal(found.length, expected.length);
      expected.forEach((value, at) => assert.ok(Math.abs(found[at]! - value) <= 2e-8 * expected[0]!, `${at}`));
      const rank = effectiveRank(Float64Array.from(expected));
      assert.ok(Math.abs(effectiveRank(found) - rank) < 1e-6);
      assert.ok(rank > 1 - 1e-9 && rank <= Math.min(rows, r, columns) + 1e-9);
    });
  }
  test('columns that are the same or zero leave fewer directions', () => {
    const b = matrix(10, 4);
    for (let i = 0; i < 10; i++) {
      b[i * 4 + 1] = b[i * 4]!;
      b[i * 4 + 3] = 0;
    }
    const values = lowRankSingularValues(b, matrix(4, 9), 4)!;
    assert.ok(values[1]! > 0.1);
    assert.ok(values[2]! < 1e-6 * values[0]! && values[3]! < 1e-6 * values[0]!);
    assert.ok(effectiveRank(values) < 2 + 1e-4);
  });
  test('numbers that are not finite have none, whichever factor they are in', () => {
    for (const wrong of [NaN, Infinity]) {
      for (const at of [0, 1]) {
        const factors = [matrix(5, 2), matrix(2, 5)] as const;
        factors[at]![3] = wrong;
        assert.equal(lowRankSingularValues(...factors, 2), undefined, `${wrong} in factor ${at}`);
        assert.equal(lowRankEffectiveRank(...factors, 2), undefined, `${wrong} in factor ${at}`);
      }
    }
  });
  test('a rank that would take long is not looked into', () => {
    const r = MAX_RANK + 1;
    assert.equal(lowRankSingularValues(new Float32Array(r), new Float32Array(r), r), undefined);
  });
});

describe('effective rank', () => {
  test('of equal values is their number, of one is 1, of none is 0', () => {
    assert.ok(Math.abs(effectiveRank(Float64Array.of(2, 2, 2, 2)) - 4) < 1e-12);
    assert.equal(effectiveRank(Float64Array.of(3, 0, 0)), 1);
    assert.equal(effectiveRank(Float64Array.of(0, 0)), 0);
    assert.equal(effectiveRank(lowRankSingularValues(new Float32Array(8), matrix(4, 3), 4)!), 0);
  });
  test('of shares 1/2, 1/4, 1/4 is 2^1.5', () => {
    assert.ok(Math.abs(effectiveRank(Float64Array.of(4, 2, 2)) - 2 ** 1.5) < 1e-12);
  });
});

test('eigenvalues of Toeplitz matrices are known in closed form', () => {
  for (const n of [1, 2, 3, 40]) {
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) a[i * n + i - 1] = -1;
    }
    const found = symmetricEigenvalues(a, n);
    const expected = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)));
    expected.sort((x, y) => y - x).forEach((value, at) => assert.ok(Math.abs(found[at]! - value) < 1e-13, `${n}`));
  }
});

test('eigenvalues of a full matrix sum to its trace and square to its norm, also negative ones', () => {
  const n = 30;
  const a = Float64Array.from(matrix(n, n));
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j]!;
  const found = symmetricEigenvalues(a, n);
  const trace = Array.from({ length: n }, (_, i) => a[i * n + i]!).reduce((x, y) => x + y, 0);
  const sum = (values: Float64Array): number => values.reduce((x, y) => x + y, 0);
  assert.ok(Math.abs(sum(found) - trace) < 1e-10);
  assert.ok(Math.abs(sum(found.map((x) => x * x)) - sum(a.map((x) => x * x))) < 1e-9);
  assert.ok(found[n - 1]! < 0);
});

test('what is not finite gives NaN, not an endless loop', () => {
  assert.ok(symmetricEigenvalues(Float64Array.of(1, NaN, NaN, 1), 2).every(Number.isNaN));
});
