import type { MatrixProducts } from './products.js';
import { multiplied, plainProducts, transposed } from './products.js';
import { thinQr } from './qr.js';
import { singularTriplets } from './svd.js';
import type { SingularTriplets } from './svd.js';

/** How much of a matrix M to keep: at most so many singular values, or so many that their squares are this share of ‖M‖². */
export type Kept = { readonly rank: number } | { readonly energy: number };

/** M ≈ B·A, as near as any matrix of this rank (Eckart & Young 1936). */
export interface LowRankFactors {
  /** At least 1: a matrix of zeros has factors of zeros. */
  readonly r: number;
  /** [rows, r] */
  readonly b: Float32Array;
  /** [r, columns] */
  readonly a: Float32Array;
  /** ‖M − B·A‖ / ‖M‖ (Frobenius); 0 for a matrix of zeros. */
  readonly error: number;
}

/** How many singular values to look for first where nothing says how many are wanted. */
const FIRST_RANK = 16;

/**
 * B·A for a matrix that is given whole; each takes the square root of the singular values.
 * @throws Error where it holds what is not finite
 */
export async function factored(matrix: MatrixProducts, kept: Kept): Promise<LowRankFactors> {
  const { rows, columns } = matrix;
  const most = Math.min(rows, columns);
  const squares = sumOfSquares(matrix.matrix);
  let count = 'rank' in kept ? Math.min(kept.rank, most) : Math.min(FIRST_RANK, most);
  for (;;) {
    const triplets = await singularTriplets(matrix, count, 'largest');
    const r = wanted(triplets.s, squares, kept);
    if (r !== undefined) return split(triplets, r, squares, rows, columns);
    if (count === most) return split(triplets, most, squares, rows, columns);
    count = Math.min(2 * count, most);
  }
}

/**
 * The same for a matrix that is itself a product, of too high a rank: its singular values are those of R_B·R_Aᵀ out of
 * B = Q_B·R_B and Aᵀ = Q_A·R_A, so that the product is never made.
 *
 * @param b [rows, r]
 * @param a [r, columns]
 */
export async function refactored(
  { b, a, r }: { readonly b: Float64Array; readonly a: Float64Array; readonly r: number },
  kept: Kept,
): Promise<LowRankFactors> {
  const [rows, columns] = [b.length / r, a.length / r];
  if (r >= Math.min(rows, columns)) {
    return factored(plainProducts(multiplied(b, a, rows, r), rows, columns), kept);
  }
  const whole = await productTriplets({ b, a, r });
  const squares = sumOfSquares(whole.s);
  return split(whole, wanted(whole.s, squares, kept) ?? r, squares, rows, columns);
}

/**
 * The singular values of B·A with their vectors, without the product.
 *
 * @param b [rows, r]
 * @param a [r, columns]
 * @returns min(r, rows, columns) triplets
 * @throws Error where it holds what is not finite
 */
export async function productTriplets({
  b,
  a,
  r,
}: {
  readonly b: Float64Array;
  readonly a: Float64Array;
  readonly r: number;
}): Promise<SingularTriplets> {
  const [rows, columns] = [b.length / r, a.length / r];
  const left = thinQr(b, rows, r);
  const right = thinQr(transposed(a, r, columns), columns, r);
  const [high, wide] = [left.r.length / r, right.r.length / r];
  const core = multiplied(left.r, transposed(right.r, wide, r), high, r);
  const { u, s, v } = await singularTriplets(plainProducts(core, high, wide), Math.min(high, wide), 'largest');
  return { u: multiplied(left.q, u, rows, high), s, v: multiplied(right.q, v, columns, wide) };
}

/** How many of the singular values, largest first, are kept; undefined where more are needed. */
function wanted(s: Float64Array, squares: number, kept: Kept): number | undefined {
  if ('rank' in kept) return Math.min(kept.rank, s.length);
  let sum = 0;
  for (const [at, value] of s.entries()) {
    sum += value * value;
    if (sum >= kept.energy * squares) return at + 1;
  }
  return undefined;
}

function split(
  { u, s, v }: SingularTriplets,
  r: number,
  squares: number,
  rows: number,
  columns: number,
): LowRankFactors {
  const b = new Float32Array(rows * r);
  const a = new Float32Array(r * columns);
  let left = squares;
  for (let k = 0; k < r; k++) {
    const root = Math.sqrt(s[k]!);
    left -= s[k]! * s[k]!;
    for (let i = 0; i < rows; i++) b[i * r + k] = u[i * s.length + k]! * root;
    for (let j = 0; j < columns; j++) a[k * columns + j] = v[j * s.length + k]! * root;
  }
  return { r, b, a, error: squares === 0 ? 0 : Math.sqrt(Math.max(0, left) / squares) };
}

function sumOfSquares(numbers: Float64Array): number {
  return numbers.reduce((sum, each) => sum + each * each, 0);
}
