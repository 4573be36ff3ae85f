/**
 * W + scale · B·A as a new matrix; sums are kept in double precision and rounded once.
 *
 * @param w [rows, columns]
 * @param b [rows, r]
 * @param a [r, columns]
 */
export function addLowRank(
  w: Float32Array,
  b: Float32Array,
  a: Float32Array,
  scale: number,
  rows: number,
  r: number,
): Float32Array {
  const columns = a.length / r;
  const result = new Float32Array(w.length);
  const row = new Float64Array(columns);
  const fours = r - (r % 4);
  for (let i = 0; i < rows; i++) {
    row.fill(0);
    const factor = (k: number): number => scale * b[i * r + k]!;
    // Four at a time, in the same order of sums: the row is loaded and stored a quarter as often.
    for (let k = 0; k < fours; k += 4) {
      const [f0, f1, f2, f3] = [factor(k), factor(k + 1), factor(k + 2), factor(k + 3)];
      if (f0 === 0 && f1 === 0 && f2 === 0 && f3 === 0) continue;
      const [a0, a1, a2, a3] = [k * columns, (k + 1) * columns, (k + 2) * columns, (k + 3) * columns];
      for (let j = 0; j < columns; j++) {
        row[j] = row[j]! + f0 * a[a0 + j]! + f1 * a[a1 + j]! + f2 * a[a2 + j]! + f3 * a[a3 + j]!;
      }
    }
    for (let k = fours; k < r; k++) {
      const [f0, a0] = [factor(k), k * columns];
      if (f0 === 0) continue;
      for (let j = 0; j < columns; j++) row[j]! += f0 * a[a0 + j]!;
    }
    const at = i * columns;
    for (let j = 0; j < columns; j++) result[at + j] = w[at + j]! + row[j]!;
  }
  return result;
}

/**
 * ‖B·A‖_F, by the cheaper of two ways: trace((BᵀB)(AAᵀ)), a sum over r × r Gram matrices, or the product itself where
 * the rank is above that of any matrix of its size.
 *
 * @param b [rows, r]
 * @param a [r, columns]
 */
export function lowRankNorm(b: Float32Array, a: Float32Array, r: number): number {
  const rows = b.length / r;
  const columns = a.length / r;
  if (r > Math.min(rows, columns)) return productNorm(b, a, r);
  // Columns of B one after the other: read from where they lie, with r numbers between, they take many times as long.
  const across = transposed(b, rows, r);
  const terms = new Float64Array(r * r);
  for (let k = 0; k < r; k++) {
    // Gram matrices are symmetric.
    for (let l = 0; l <= k; l++) {
      let left = 0;
      for (let i = 0; i < rows; i++) left += across[k * rows + i]! * across[l * rows + i]!;
      let right = 0;
      for (let j = 0; j < columns; j++) right += a[k * columns + j]! * a[l * columns + j]!;
      terms[k * r + l] = left * right;
      terms[l * r + k] = left * right;
    }
  }
  const trace = terms.reduce((sum, term) => sum + term, 0);
  return Math.sqrt(Math.max(0, trace));
}

function productNorm(b: Float32Array, a: Float32Array, r: number): number {
  const rows = b.length / r;
  const columns = a.length / r;
  let squares = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < r; k++) sum += b[i * r + k]! * a[k * columns + j]!;
      squares += sum * sum;
    }
  }
  return Math.sqrt(squares);
}

/** The transpose of a row-major matrix [rows, columns], in an array of the same kind. */
export function transposed<Numbers extends Float32Array | Float64Array>(
  matrix: Numbers,
  rows: number,
  columns: number,
): Numbers {
  const result = matrix.slice() as Numbers;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j]!;
  }
  return result;
}

/** A·B in double precision, row-major: A [rows, inner], B [inner, columns]. */
export function multiplied(a: Float64Array, b: Float64Array, rows: number, inner: number): Float64Array {
  const columns = b.length / inner;
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const row = result.subarray(i * columns, (i + 1) * columns);
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k]!;
      if (factor === 0) continue;
      const from = k * columns;
      for (let j = 0; j < columns; j++) row[j]! += factor * b[from + j]!;
    }
  }
  return result;
}

/**
 * ⟨B·A, B'·A'⟩, the sum over all numbers of their products, without the matrices: Σ (BᵀB') ⊙ (A·A'ᵀ).
 *
 * @param one b [rows, r], a [r, columns]; the other's rank may differ
 */
export function lowRankInner(
  one: { readonly r: number; readonly a: Float32Array; readonly b: Float32Array },
  other: { readonly r: number; readonly a: Float32Array; readonly b: Float32Array },
): number {
  const [rows, columns] = [one.b.length / one.r, one.a.length / one.r];
  let sum = 0;
  for (let k = 0; k < one.r; k++) {
    for (let l = 0; l < other.r; l++) {
      let left = 0;
      for (let i = 0; i < rows; i++) left += one.b[i * one.r + k]! * other.b[i * other.r + l]!;
      let right = 0;
      for (let j = 0; j < columns; j++) right += one.a[k * columns + j]! * other.a[l * columns + j]!;
      sum += left * right;
    }
  }
  return sum;
}

/** A matrix W [rows, columns] and its products with others, in double precision: a runtime's are faster than ours. */
export interface MatrixProducts {
  readonly matrix: Float64Array;
  readonly rows: number;
  readonly columns: number;
  /** W·X, [rows, count]. @param x [columns, count] */
  times(x: Float64Array): Promise<Float64Array>;
  /** Wᵀ·X, [columns, count]. @param x [rows, count] */
  transposedTimes(x: Float64Array): Promise<Float64Array>;
}

/** Products without a runtime: for small matrices and tests. */
export function plainProducts(matrix: Float64Array, rows: number, columns: number): MatrixProducts {
  const back = transposed(matrix, rows, columns);
  return {
    matrix,
    rows,
    columns,
    times: (x) => Promise.resolve(multiplied(matrix, x, rows, columns)),
    transposedTimes: (x) => Promise.resolve(multiplied(back, x, columns, rows)),
  };
}
