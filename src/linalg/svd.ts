import type { Random } from '../common/random.js';
import type { MatrixProducts } from './products.js';
import { multiplied, transposed } from './products.js';
import { thinQr } from './qr.js';
import { symmetricEigenpairs } from './symmetricEigen.js';

/** A part of W = U·diag(s)·Vᵀ, all row-major. */
export interface SingularTriplets {
  /** [rows, count], columns orthonormal */
  readonly u: Float64Array;
  /** [count], largest first */
  readonly s: Float64Array;
  /** [columns, count], columns orthonormal */
  readonly v: Float64Array;
}

/** Columns beside those that are wanted: Halko, Martinsson & Tropp 2011, 4.2, have five or ten. */
const OVERSAMPLING = 10;

/**
 * The largest or smallest singular values of W with their vectors: eigenvectors of WᵀW or W·Wᵀ, whichever is smaller. In
 * double precision that costs nothing of what float32 can tell apart, unless values are some 1e-7 of the largest.
 *
 * @param count at most min(rows, columns)
 * @throws Error where W holds what is not finite
 */
export async function singularTriplets(
  w: MatrixProducts,
  count: number,
  end: 'largest' | 'smallest',
): Promise<SingularTriplets> {
  const { matrix, rows, columns } = w;
  if (columns <= rows) {
    const gram = await w.transposedTimes(matrix);
    const v = sideBySide(symmetricEigenpairs(gram, columns, count, end).vectors, columns);
    const { lengths: s, directions: u } = directionsOf(await w.times(v), rows, count);
    return { u, s, v };
  }
  const gram = await w.times(transposed(matrix, rows, columns));
  const u = sideBySide(symmetricEigenpairs(gram, rows, count, end).vectors, rows);
  const { lengths: s, directions: v } = directionsOf(await w.transposedTimes(u), columns, count);
  return { u, s, v };
}

/**
 * Bytes that {@link singularTriplets} holds at once beside W: the Gram matrix and its tridiagonal form; of a wide W its transpose.
 */
export function tripletsWorkBytes(rows: number, columns: number): number {
  return (rows < columns ? 8 * rows * columns : 0) + 16 * Math.min(rows, columns) ** 2;
}

/**
 * The largest singular values of W with their vectors by random projection (Halko, Martinsson & Tropp 2011): a basis of
 * the range by subspace iteration, orthonormalized at each product (algorithm 4.4), then the values within it (5.1).
 *
 * @param count at most min(rows, columns)
 * @param iterations q of algorithm 4.4
 */
export async function randomizedTriplets(
  w: MatrixProducts,
  count: number,
  iterations: number,
  random: Random,
): Promise<SingularTriplets> {
  const { rows, columns } = w;
  const width = Math.min(count + OVERSAMPLING, rows, columns);
  const start = Float64Array.from({ length: columns * width }, () => random.normal());
  let q = thinQr(await w.times(start), rows, width).q;
  for (let iteration = 0; iteration < iterations; iteration++) {
    const back = thinQr(await w.transposedTimes(q), columns, width).q;
    q = thinQr(await w.times(back), rows, width).q;
  }
  // (QᵀW)ᵀ, and the eigenvectors of QᵀW·WᵀQ.
  const within = await w.transposedTimes(q);
  const gram = multiplied(transposed(within, columns, width), within, width, columns);
  const turn = sideBySide(symmetricEigenpairs(gram, width, count, 'largest').vectors, width);
  const { lengths, directions } = directionsOf(multiplied(within, turn, columns, width), columns, count);
  return { u: multiplied(q, turn, rows, width), s: lengths, v: directions };
}

/**
 * The singular vectors of one side that belong to the largest singular values, as orthonormal columns: those of the shorter
 * side are eigenvectors of the smaller product of W with itself, and cost nothing beside it.
 *
 * @param count at most min(rows, columns)
 * @returns [rows, count] for `left`, [columns, count] for `right`; the same subspace as {@link singularTriplets} finds
 * @throws Error where W holds what is not finite
 */
export async function singularVectors(
  w: MatrixProducts,
  count: number,
  side: 'left' | 'right',
): Promise<Float64Array> {
  const { matrix, rows, columns } = w;
  if (side === 'right' && columns <= rows) {
    const gram = await w.transposedTimes(matrix);
    return sideBySide(symmetricEigenpairs(gram, columns, count, 'largest').vectors, columns);
  }
  if (side === 'left' && rows <= columns) {
    const gram = await w.times(transposed(matrix, rows, columns));
    return sideBySide(symmetricEigenpairs(gram, rows, count, 'largest').vectors, rows);
  }
  const { u, v } = await singularTriplets(w, count, 'largest');
  return side === 'left' ? u : v;
}

/** Vectors as the columns of a matrix [length, vectors]. */
function sideBySide(vectors: readonly Float64Array[], length: number): Float64Array {
  const result = new Float64Array(length * vectors.length);
  for (const [j, vector] of vectors.entries()) {
    for (let i = 0; i < length; i++) result[i * vectors.length + j] = vector[i]!;
  }
  return result;
}

/** Columns that are orthogonal as their lengths and directions; these are orthonormal also where a length is 0. */
function directionsOf(
  matrix: Float64Array,
  rows: number,
  columns: number,
): { readonly lengths: Float64Array; readonly directions: Float64Array } {
  const { q, r } = thinQr(matrix, rows, columns);
  const lengths = Float64Array.from({ length: columns }, (_, j) => Math.abs(r[j * columns + j]!));
  for (let j = 0; j < columns; j++) {
    if (r[j * columns + j]! >= 0) continue;
    for (let i = 0; i < rows; i++) q[i * columns + j]! *= -1;
  }
  return { lengths, directions: q };
}
