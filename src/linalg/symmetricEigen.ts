/** QL steps per eigenvalue: it converges in two or three; more means that the numbers are not finite. */
const MAX_STEPS = 60;

/**
 * Eigenvalues of a real symmetric matrix, largest first: Householder reduction to tridiagonal form, then QL steps
 * with implicit Wilkinson shifts (Golub & Van Loan, Matrix Computations, 4th ed., 8.3).
 *
 * @param matrix [n, n] row-major; only its lower triangle is read
 * @returns [n]; NaN where the matrix holds what is not finite
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, below } = tridiagonal(Float64Array.from(matrix), n);
  for (let low = 0; low < n; low++) {
    for (let step = 0; ; step++) {
      let high = low;
      while (high < n - 1 && !isNegligible(below[high]!, diagonal[high]!, diagonal[high + 1]!)) high++;
      if (high === low) break;
      if (step === MAX_STEPS) return new Float64Array(n).fill(NaN);
      implicitStep(diagonal, below, low, high);
    }
  }
  return diagonal.sort().reverse();
}

function isNegligible(off: number, above: number, under: number): boolean {
  return Math.abs(off) <= Number.EPSILON * (Math.abs(above) + Math.abs(under));
}

/** One QL step on rows `low` to `high`: a bulge is chased upwards from the bottom by plane rotations. */
function implicitStep(diagonal: Float64Array, below: Float64Array, low: number, high: number): void {
  // Wilkinson's shift: the eigenvalue of the topmost 2 × 2 block that is nearer to its first entry.
  const half = (diagonal[low + 1]! - diagonal[low]!) / (2 * below[low]!);
  const root = Math.hypot(half, 1);
  const shift = diagonal[low]! - below[low]! / (half + (half < 0 ? -root : root));
  let bulge = diagonal[high]! - shift;
  let [sine, cosine, moved] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const f = sine * below[i]!;
    const b = cosine * below[i]!;
    const r = Math.hypot(f, bulge);
    below[i + 1] = r;
    if (r === 0) {
      // The matrix falls apart here: the caller goes on with the parts.
      diagonal[i + 1]! -= moved;
      below[high] = 0;
      return;
    }
    sine = f / r;
    cosine = bulge / r;
    const g = diagonal[i + 1]! - moved;
    const t = (diagonal[i]! - g) * sine + 2 * cosine * b;
    moved = sine * t;
    diagonal[i + 1] = g + moved;
    bulge = cosine * t - b;
  }
  diagonal[low]! -= moved;
  below[low] = bulge;
  below[high] = 0;
}

/** Q A Qᵀ with entries on the diagonal and beside it alone; `a` is overwritten. `below[i]` stands in row i + 1. */
function tridiagonal(a: Float64Array, n: number): { diagonal: Float64Array; below: Float64Array } {
  const below = new Float64Array(n);
  const v = new Float64Array(n);
  const p = new Float64Array(n);
  for (let k = 0; k < n - 2; k++) {
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
    let along = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += (j <= i ? a[i * n + j]! : a[j * n + i]!) * v[j]!;
      p[i] = sum / scale;
      along += p[i]! * v[i]!;
    }
    const share = along / (2 * scale);
    for (let i = k + 1; i < n; i++) p[i]! -= share * v[i]!;
    for (let i = k + 1; i < n; i++) {
      for (let j = k + 1; j <= i; j++) a[i * n + j]! -= v[i]! * p[j]! + p[i]! * v[j]!;
    }
  }
  if (n > 1) below[n - 2] = a[(n - 1) * n + n - 2]!;
  return { diagonal: Float64Array.from({ length: n }, (_, i) => a[i * n + i]!), below };
}
