import { random } from '../common/random.js';
import { tridiagonal } from './tridiagonal.js';

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
  return eigenvaluesOf(diagonal, below);
}

/** Of a tridiagonal matrix, largest first; both vectors are overwritten. */
function eigenvaluesOf(diagonal: Float64Array, below: Float64Array): Float64Array {
  const n = diagonal.length;
  // What the reduction's rounding leaves; of a graded matrix, largest first, what is smaller would take ever more steps.
  const floor = Number.EPSILON * largestOf(diagonal, below);
  for (let low = 0; low < n; low++) {
    for (let step = 0; ; step++) {
      let high = low;
      while (high < n - 1 && !isNegligible(below[high]!, diagonal[high]!, diagonal[high + 1]!, floor)) high++;
      if (high === low) break;
      if (step === MAX_STEPS) return new Float64Array(n).fill(NaN);
      implicitStep(diagonal, below, low, high);
    }
  }
  return diagonal.sort().reverse();
}

/** Eigenvalues with their vectors. */
export interface Eigenpairs {
  /** [count], largest first */
  readonly values: Float64Array;
  /** Of each value a vector [n] of length 1. */
  readonly vectors: readonly Float64Array[];
}

/**
 * The largest or smallest eigenvalues of a real symmetric matrix with their vectors: {@link symmetricEigenvalues}, then
 * inverse iteration on the tridiagonal form for each, kept orthogonal to those before (Golub & Van Loan, 4th ed., 8.2.2,
 * 8.4). Costs little more than the values alone, where few vectors are wanted.
 *
 * @param matrix [n, n] row-major; only its lower triangle is read
 * @param count at most n
 * @throws Error where the matrix holds what is not finite
 */
export function symmetricEigenpairs(
  matrix: Float64Array,
  n: number,
  count: number,
  end: 'largest' | 'smallest',
): Eigenpairs {
  const form = tridiagonal(Float64Array.from(matrix), n);
  const all = eigenvaluesOf(form.diagonal.slice(), form.below.slice());
  const values = end === 'largest' ? all.slice(0, count) : all.slice(n - count);
  if (values.some((value) => !Number.isFinite(value))) throw new Error('the matrix holds what is not finite');
  const vectors: Float64Array[] = [];
  for (const value of values) vectors.push(inverseIteration(form.diagonal, form.below, value, vectors));
  for (const vector of vectors) form.backward(vector);
  return { values, vectors };
}

/** Two would do for most; where eigenvalues are close, one more settles what orthogonality took away. */
const ROUNDS = 4;

/** The vector of an eigenvalue of a tridiagonal matrix, of length 1 and orthogonal to those found before. */
function inverseIteration(
  diagonal: Float64Array,
  below: Float64Array,
  value: number,
  before: readonly Float64Array[],
): Float64Array {
  const n = diagonal.length;
  const solve = shiftedSolver(diagonal, below, value);
  const draws = random(0, 'inverse iteration', before.length);
  const x = Float64Array.from({ length: n }, () => draws.normal());
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) solve(x);
    normalize(x);
    // Twice: what rounding leaves of the first time.
    for (let again = 0; again < 2; again++) {
      for (const other of before) {
        let along = 0;
        for (let i = 0; i < n; i++) along += other[i]! * x[i]!;
        for (let i = 0; i < n; i++) x[i]! -= along * other[i]!;
      }
      normalize(x);
    }
  }
  return x;
}

/** Divides by the length, by way of the largest number, whose square may be out of range. */
function normalize(x: Float64Array): void {
  let largest = 0;
  for (const value of x) largest = Math.max(largest, Math.abs(value));
  let squares = 0;
  for (const value of x) squares += (value / largest) ** 2;
  const length = largest * Math.sqrt(squares);
  for (let i = 0; i < x.length; i++) x[i]! /= length;
}

/** x ← (T − shift·I)⁻¹·x in place, by Gaussian elimination with row exchanges; a pivot that vanishes becomes tiny. */
function shiftedSolver(diagonal: Float64Array, below: Float64Array, shift: number): (x: Float64Array) => void {
  const n = diagonal.length;
  const largest = largestOf(diagonal, below);
  const tiny = Number.EPSILON * (largest === 0 ? 1 : largest);
  const [pivots, first, second, factors] = Array.from({ length: 4 }, () => new Float64Array(n)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const exchanged = new Uint8Array(n);
  // The row that is being eliminated with: its diagonal number and the one to the right.
  let [here, right] = [diagonal[0]! - shift, n > 1 ? below[0]! : 0];
  for (let i = 0; i < n - 1; i++) {
    const under = below[i]!;
    const [next, nextRight] = [diagonal[i + 1]! - shift, i + 2 < n ? below[i + 1]! : 0];
    if (Math.abs(under) > Math.abs(here)) {
      exchanged[i] = 1;
      factors[i] = here / under;
      [pivots[i], first[i], second[i]] = [under, next, nextRight];
      here = right - factors[i]! * next;
      right = -factors[i]! * nextRight;
    } else {
      const pivot = Math.abs(here) < tiny ? tiny : here;
      factors[i] = under / pivot;
      [pivots[i], first[i]] = [pivot, right];
      here = next - factors[i]! * right;
      right = nextRight;
    }
  }
  pivots[n - 1] = Math.abs(here) < tiny ? tiny : here;
  return (x) => {
    for (let i = 0; i < n - 1; i++) {
      if (exchanged[i] === 1) [x[i], x[i + 1]] = [x[i + 1]!, x[i]!];
      x[i + 1]! -= factors[i]! * x[i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      const known = (i + 1 < n ? first[i]! * x[i + 1]! : 0) + (i + 2 < n ? second[i]! * x[i + 2]! : 0);
      x[i] = (x[i]! - known) / pivots[i]!;
    }
  };
}

function isNegligible(off: number, above: number, under: number, floor: number): boolean {
  return Math.abs(off) <= Math.max(Number.EPSILON * (Math.abs(above) + Math.abs(under)), floor);
}

/** Largest magnitude of a tridiagonal matrix's numbers. */
function largestOf(diagonal: Float64Array, below: Float64Array): number {
  return diagonal.reduce((most, each, i) => Math.max(most, Math.abs(each), Math.abs(below[i]!)), 0);
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
