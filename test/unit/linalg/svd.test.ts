import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { multiplied, plainProducts, transposed } from '../../../src/linalg/products.js';
import type { MatrixProducts } from '../../../src/linalg/products.js';
import { thinQr } from '../../../src/linalg/qr.js';
import { randomizedTriplets, singularTriplets, singularVectors } from '../../../src/linalg/svd.js';
import type { SingularTriplets } from '../../../src/linalg/svd.js';
import { symmetricEigenpairs } from '../../../src/linalg/symmetricEigen.js';
import { runtimeProducts } from '../../../src/runtime/matrixProducts.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';

const draws = random(3, 'svd');
const normals = (size: number): Float64Array => Float64Array.from({ length: size }, () => draws.normal());

function largestGap(a: Float64Array, b: Float64Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0);
}

function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0));
}

function assertOrthonormal(q: Float64Array, rows: number, columns: number): void {
  const gram = multiplied(transposed(q, rows, columns), q, columns, rows);
  assert.ok(largestGap(gram, identity(columns)) < 1e-10, `${largestGap(gram, identity(columns))}`);
}

/** U·diag(s)·Vᵀ */
function product({ u, s, v }: SingularTriplets, rows: number, columns: number): Float64Array {
  const scaled = u.map((value, at) => value * s[at % s.length]!);
  return multiplied(scaled, transposed(v, columns, s.length), rows, s.length);
}

/** A matrix [rows, columns] with these singular values, and their vectors. */
function withSpectrum(s: readonly number[], rows: number, columns: number): SingularTriplets & MatrixProducts {
  const count = s.length;
  const u = thinQr(normals(rows * count), rows, count).q;
  const v = thinQr(normals(columns * count), columns, count).q;
  const triplets = { u, s: Float64Array.from(s), v };
  return { ...triplets, ...plainProducts(product(triplets, rows, columns), rows, columns) };
}

function norm(x: Float64Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}

describe('QR', () => {
  for (const [rows, columns] of [
    [9, 4],
    [4, 9],
    [6, 6],
    [5, 1],
  ] as const) {
    test(`of [${rows}, ${columns}]: Q orthonormal, R upper triangular, their product the matrix`, () => {
      const matrix = normals(rows * columns);
      const steps = Math.min(rows, columns);
      const { q, r } = thinQr(matrix, rows, columns);
      assertOrthonormal(q, rows, steps);
      assert.ok(largestGap(multiplied(q, r, rows, steps), matrix) < 1e-12);
      for (let i = 0; i < steps; i++) for (let j = 0; j < i; j++) assert.equal(r[i * columns + j], 0);
    });
  }

  test('the first steps give the first columns of Q and rows of R', () => {
    const matrix = normals(7 * 5);
    const [whole, part] = [thinQr(matrix, 7, 5), thinQr(matrix, 7, 5, 2)];
    for (let i = 0; i < 7; i++) {
      for (let j = 0; j < 2; j++) assert.equal(part.q[i * 2 + j], whole.q[i * 5 + j]);
    }
    assert.deepEqual(part.r, whole.r.slice(0, 2 * 5));
  });

  test("signs are LAPACK's: numpy.linalg.qr([[3, 1], [4, 2]])", () => {
    const { q, r } = thinQr(Float64Array.of(3, 1, 4, 2), 2, 2);
    assert.ok(largestGap(q, Float64Array.of(-0.6, -0.8, -0.8, 0.6)) < 1e-15);
    assert.ok(largestGap(r, Float64Array.of(-5, -2.2, 0, 0.4)) < 1e-15);
  });

  test('columns that depend on each other, and zeros, still have an orthonormal Q', () => {
    const column = normals(6);
    const twice = Float64Array.from({ length: 18 }, (_, at) => (at % 3 === 2 ? 0 : column[Math.floor(at / 3)]!));
    assertOrthonormal(thinQr(twice, 6, 3).q, 6, 3);
    assertOrthonormal(thinQr(new Float64Array(18), 6, 3).q, 6, 3);
  });
});

describe('eigenpairs of a symmetric matrix', () => {
  const assertPairs = (matrix: Float64Array, n: number, count: number, end: 'largest' | 'smallest'): void => {
    const { values, vectors } = symmetricEigenpairs(matrix, n, count, end);
    const x = transposed(Float64Array.from(vectors.flatMap((vector) => [...vector])), count, n);
    assertOrthonormal(x, n, count);
    const scaled = x.map((value, at) => value * values[at % count]!);
    const most = Math.max(1, ...matrix.map(Math.abs));
    assert.ok(largestGap(multiplied(matrix, x, n, n), scaled) < 1e-11 * most * n);
  };
  const symmetric = (n: number): Float64Array => {
    const a = normals(n * n);
    const back = transposed(a, n, n);
    return a.map((value, at) => value + back[at]!);
  };

  test('A·x = λ·x, x orthonormal', () => {
    for (const n of [1, 2, 3, 40]) {
      const matrix = symmetric(n);
      for (const end of ['largest', 'smallest'] as const) {
        assertPairs(matrix, n, n, end);
        assertPairs(matrix, n, Math.ceil(n / 3), end);
      }
    }
  });

  test('also where eigenvalues coincide, or nearly', () => {
    assertPairs(identity(12), 12, 12, 'largest');
    assertPairs(new Float64Array(25), 5, 5, 'smallest');
    const thin = normals(20 * 3);
    assertPairs(multiplied(thin, transposed(thin, 20, 3), 20, 3), 20, 20, 'smallest');
    // Wilkinson's W21+: pairs that agree to fifteen digits.
    const wilkinson = Float64Array.from({ length: 21 * 21 }, (_, at) => {
      const [i, j] = [Math.floor(at / 21), at % 21];
      return i === j ? Math.abs(i - 10) : Math.abs(i - j) === 1 ? 1 : 0;
    });
    assertPairs(wilkinson, 21, 21, 'largest');
  });

  test('what is not finite is an error', () => {
    assert.throws(() => symmetricEigenpairs(Float64Array.of(NaN, 0, 0, 1), 2, 1, 'largest'), /not finite/);
  });
});

const SPECTRUM = [9, 7, 5, 3, 2, 1.5, 1, 0.7, 0.4, 0.3, 0.2, 0.1];

describe('singular values', () => {
  for (const [rows, columns] of [
    [12, 30],
    [30, 12],
    [12, 12],
  ] as const) {
    test(`of [${rows}, ${columns}] are those that it was made of, at both ends`, async () => {
      const w = withSpectrum(SPECTRUM, rows, columns);
      for (const end of ['largest', 'smallest'] as const) {
        const found = await singularTriplets(w, 4, end);
        const wanted = end === 'largest' ? SPECTRUM.slice(0, 4) : SPECTRUM.slice(-4);
        assert.ok(largestGap(found.s, Float64Array.from(wanted)) < 1e-12);
        assertOrthonormal(found.u, rows, 4);
        assertOrthonormal(found.v, columns, 4);
        const from = end === 'largest' ? 0 : SPECTRUM.length - 4;
        const part = (x: Float64Array): Float64Array => x.filter((_, at) => at % 12 >= from && at % 12 < from + 4);
        const truth = { u: part(w.u), s: found.s, v: part(w.v) };
        assert.ok(largestGap(product(found, rows, columns), product(truth, rows, columns)) < 1e-12);
      }
    });
  }

  test('of a matrix of lower rank: zeros, with orthonormal vectors', async () => {
    const found = await singularTriplets(withSpectrum([4, 2], 8, 6), 6, 'largest');
    assert.ok(largestGap(found.s, Float64Array.of(4, 2, 0, 0, 0, 0)) < 1e-7);
    assertOrthonormal(found.u, 8, 6);
    assertOrthonormal(found.v, 6, 6);
  });

  test('of a product of lower rank as float32 rounds it, whose last values are noise', async () => {
    for (const [n, rank] of [
      [100, 16],
      [160, 40],
      [240, 4],
    ] as const) {
      const whole = multiplied(normals(n * rank), normals(rank * n), n, rank);
      const w = plainProducts(Float64Array.from(Float32Array.from(whole)), n, n);
      const { u, s, v } = await singularTriplets(w, rank + 3, 'largest');
      assert.ok(s.every(Number.isFinite));
      assert.ok(s[rank - 1]! > 1 && s[rank]! < 1e-3, `${s[rank - 1]}, ${s[rank]}`);
      assert.ok(norm(product({ u, s, v }, n, n).map((value, at) => value - whole[at]!)) < 1e-5 * norm(whole));
    }
  });

  test('the vectors of one side alone span what those of both do', async () => {
    for (const [rows, columns] of [
      [12, 7],
      [7, 12],
    ] as const) {
      const w = plainProducts(normals(rows * columns), rows, columns);
      const { u, v } = await singularTriplets(w, 3, 'largest');
      for (const [side, expected, length] of [
        ['left', u, rows],
        ['right', v, columns],
      ] as const) {
        const found = await singularVectors(w, 3, side);
        assertOrthonormal(found, length, 3);
        const cosines = multiplied(transposed(expected, length, 3), found, 3, length);
        assert.ok(largestGap(cosines.map(Math.abs), identity(3)) < 1e-7, `${side} of ${rows} × ${columns}`);
      }
    }
  });

  test('by random projection: within a hair of the best error of its rank, and closer with each iteration', async () => {
    const spectrum = Array.from({ length: 60 }, (_, at) => 1 / (1 + at));
    const [rows, columns, count] = [70, 90, 6];
    const w = withSpectrum(spectrum, rows, columns);
    const best = Math.sqrt(spectrum.slice(count).reduce((sum, value) => sum + value * value, 0));
    const excess: number[] = [];
    for (const iterations of [0, 1, 4]) {
      const found = await randomizedTriplets(w, count, iterations, random(1, 'projection'));
      assertOrthonormal(found.u, rows, count);
      assertOrthonormal(found.v, columns, count);
      const left = product(found, rows, columns).map((value, at) => w.matrix[at]! - value);
      excess.push(norm(left) / best - 1);
    }
    assert.ok(excess[0]! < 0.25, `${excess[0]}`);
    assert.ok(excess[1]! < excess[0]! / 3 && excess[2]! < excess[1]! / 3, excess.join());
    assert.ok(excess[2]! > -1e-12 && excess[2]! < 1e-4, `${excess[2]}`);
  });

  test('where the rank is near the size of the matrix the projection is all of it', async () => {
    const w = withSpectrum(SPECTRUM, 12, 20);
    const found = await randomizedTriplets(w, 8, 0, random(1, 'whole'));
    assert.ok(largestGap(found.s, Float64Array.from(SPECTRUM.slice(0, 8))) < 1e-12);
  });
});

test("a runtime's products are the plain ones", async () => {
  const products = await runtimeProducts(await onnxRuntime({ threads: 1 }));
  for (const [rows, columns, count] of [
    [5, 7, 3],
    [40, 20, 1],
  ] as const) {
    const matrix = normals(rows * columns);
    const [plain, fast] = [plainProducts(matrix, rows, columns), products.of(matrix, rows, columns)];
    const [x, y] = [normals(columns * count), normals(rows * count)];
    assert.ok(largestGap(await fast.times(x), await plain.times(x)) < 1e-12);
    assert.ok(largestGap(await fast.transposedTimes(y), await plain.transposedTimes(y)) < 1e-12);
  }
  await products.dispose();
});
