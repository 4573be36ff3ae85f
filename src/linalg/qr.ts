/** Q and R of A ≈ Q·R, row-major. */
export interface ThinQr {
  /** [rows, steps], columns orthonormal */
  readonly q: Float64Array;
  /** [steps, columns], zero below its diagonal */
  readonly r: Float64Array;
}

/**
 * The first columns of Q and the first rows of R in A = Q·R, by Householder reflections (Golub & Van Loan, Matrix
 * Computations, 4th ed., 5.2.2), with the signs of LAPACK's `geqrf`: a diagonal number of R has the sign opposite to what
 * it is made of.
 *
 * @param matrix [rows, columns] row-major
 * @param steps at most min(rows, columns); default: that. With fewer, Q·R is A's part in the span of its first columns
 */
export function thinQr(
  matrix: Float64Array,
  rows: number,
  columns: number,
  steps = Math.min(rows, columns),
): ThinQr {
  // By columns: reflections run down them.
  const work = columnMajor(matrix, rows, columns);
  const factors = new Float64Array(steps);
  for (let k = 0; k < steps; k++) {
    factors[k] = makeReflection(work.subarray(k * rows, (k + 1) * rows), k);
    for (let j = k + 1; j < columns; j++) reflect(work, k * rows, factors[k]!, j * rows, k, rows);
  }
  const r = new Float64Array(steps * columns);
  for (let i = 0; i < steps; i++) {
    for (let j = i; j < columns; j++) r[i * columns + j] = work[j * rows + i]!;
  }
  return { q: productOfReflections(work, factors, rows), r };
}

/** The first columns of H₀·H₁·…, by rows. The reflections lie below the diagonal of `work`, which is overwritten. */
function productOfReflections(work: Float64Array, factors: Float64Array, rows: number): Float64Array {
  const steps = factors.length;
  const both = new Float64Array(2 * steps * rows);
  both.set(work.subarray(0, steps * rows));
  const q = new Float64Array(rows * steps);
  for (let j = 0; j < steps; j++) {
    const at = (steps + j) * rows;
    both[at + j] = 1;
    // Those behind the j-th leave this column as it is.
    for (let k = j; k >= 0; k--) reflect(both, k * rows, factors[k]!, at, k, rows);
    for (let i = 0; i < rows; i++) q[i * steps + j] = both[at + i]!;
  }
  return q;
}

/** Puts v (its first number, 1, is left out) and the diagonal number of R in the column's place. @returns τ of H = I − τ·v·vᵀ */
function makeReflection(column: Float64Array, k: number): number {
  let squares = 0;
  for (let i = k + 1; i < column.length; i++) squares += column[i]! * column[i]!;
  if (squares === 0) return 0;
  const first = column[k]!;
  const length = Math.sqrt(first * first + squares);
  const diagonal = first > 0 ? -length : length;
  for (let i = k + 1; i < column.length; i++) column[i]! /= first - diagonal;
  column[k] = diagonal;
  return (diagonal - first) / diagonal;
}

/** H·x for the column that begins at `x`, H made of the one that begins at `v`. */
function reflect(work: Float64Array, v: number, factor: number, x: number, k: number, rows: number): void {
  if (factor === 0) return;
  let along = work[x + k]!;
  for (let i = k + 1; i < rows; i++) along += work[v + i]! * work[x + i]!;
  const share = factor * along;
  work[x + k]! -= share;
  for (let i = k + 1; i < rows; i++) work[x + i]! -= share * work[v + i]!;
}

function columnMajor(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j]!;
  }
  return result;
}
