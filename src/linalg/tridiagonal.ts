/** T = Qᵀ·A·Q with entries on the diagonal and beside it alone. */
export interface Tridiagonal {
  /** [n] */
  readonly diagonal: Float64Array;
  /** [n]; `below[i]` stands in row i + 1, the last one is 0 */
  readonly below: Float64Array;
  /** x becomes Q·x, in place. */
  backward(x: Float64Array): void;
}

/**
 * Householder reduction of a real symmetric matrix (Golub & Van Loan, Matrix Computations, 4th ed., 8.3.1).
 * @param a [n, n] row-major; only its lower triangle is read, and it is overwritten
 */
export function tridiagonal(a: Float64Array, n: number): Tridiagonal {
  const below = new Float64Array(n);
  const reflections: { readonly v: Float64Array; readonly scale: number }[] = [];
  const p = new Float64Array(n);
  for (let k = 0; k < n - 2; k++) {
    const v = new Float64Array(n);
    let squares = 0;
    for (let i = k + 1; i < n; i++) {
      v[i] = a[i * n + k]!;
      squares += v[i]! * v[i]!;
    }
    const length = v[k + 1]! > 0 ? -Math.sqrt(squares) : Math.sqrt(squares);
    below[k] = length;
    if (length === 0) continue;
    v[k + 1]! -= length;
    // H = I - v vᵀ / scale, with scale = ‖v‖² / 2.
    const scale = -length * v[k + 1]!;
    timesLower(a, n, k + 1, v, p);
    let along = 0;
    for (let i = k + 1; i < n; i++) {
      p[i]! /= scale;
      along += p[i]! * v[i]!;
    }
    const share = along / (2 * scale);
    for (let i = k + 1; i < n; i++) p[i]! -= share * v[i]!;
    for (let i = k + 1; i < n; i++) {
      const [vi, pi, row] = [v[i]!, p[i]!, i * n];
      for (let j = k + 1; j <= i; j++) a[row + j]! -= vi * p[j]! + pi * v[j]!;
    }
    reflections.push({ v, scale });
  }
  if (n > 1) below[n - 2] = a[(n - 1) * n + n - 2]!;
  return {
    diagonal: Float64Array.from({ length: n }, (_, i) => a[i * n + i]!),
    below,
    backward(x) {
      for (const { v, scale } of reflections.toReversed()) {
        let along = 0;
        for (let i = 0; i < n; i++) along += v[i]! * x[i]!;
        const share = along / scale;
        for (let i = 0; i < n; i++) x[i]! -= share * v[i]!;
      }
    },
  };
}

/** p = A·v over rows and columns from `first` on, each number of the lower triangle read once, along its row. */
function timesLower(a: Float64Array, n: number, first: number, v: Float64Array, p: Float64Array): void {
  p.fill(0, first);
  for (let i = first; i < n; i++) {
    const [vi, row] = [v[i]!, i * n];
    let sum = a[row + i]! * vi;
    for (let j = first; j < i; j++) {
      const value = a[row + j]!;
      sum += value * v[j]!;
      p[j]! += value * vi;
    }
    p[i]! += sum;
  }
}
