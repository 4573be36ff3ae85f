import { symmetricEigenvalues } from './symmetricEigen.js';

/** Eigenvalues of a matrix of this size take some seconds; a low-rank update of a higher rank is not looked into. */
export const MAX_RANK = 1024;

/**
 * Singular values of B·A, largest first, without the product: with BᵀB = L Lᵀ they are the square roots of the
 * eigenvalues of Lᵀ (A Aᵀ) L, an r × r matrix. Values below some 1e-8 of the largest are noise.
 *
 * @param b [rows, r]
 * @param a [r, columns]
 * @returns min(r, rows, columns) values; undefined where r is above {@link MAX_RANK} or a number is not finite
 */
export function lowRankSingularValues(b: Float32Array, a: Float32Array, r: number): Float64Array | undefined {
  if (r > MAX_RANK) return undefined;
  // The factorization takes a pivot that is no number for one that vanishes.
  if (!allFinite(b) || !allFinite(a)) return undefined;
  const [rows, columns] = [b.length / r, a.length / r];
  const factor = choleskyFactor(columnProducts(b, rows, r), r);
  const inner = conjugated(factor, rowProducts(a, columns, r), r);
  return symmetricEigenvalues(inner, r)
    .subarray(0, Math.min(r, rows, columns))
    .map((value) => Math.sqrt(Math.max(0, value)));
}

/**
 * exp(H(p)) with p = σ / Σσ: how many directions of equal strength would be as spread as these (Roy & Vetterli 2007,
 * "The effective rank: a measure of effective dimensionality", eq. 2–4). 0 where all are 0.
 *
 * @param singularValues none negative
 */
export function effectiveRank(singularValues: Float64Array): number {
  const sum = singularValues.reduce((total, value) => total + value, 0);
  if (sum === 0) return 0;
  let entropy = 0;
  for (const value of singularValues) {
    const share = value / sum;
    if (share > 0) entropy -= share * Math.log(share);
  }
  return Math.exp(entropy);
}

/**
 * The {@link effectiveRank} of B·A, which a scale does not change; undefined for a rank above {@link MAX_RANK} and
 * for numbers that are not finite.
 */
export function lowRankEffectiveRank(b: Float32Array, a: Float32Array, r: number): number | undefined {
  const values = lowRankSingularValues(b, a, r);
  return values && effectiveRank(values);
}

function allFinite(values: Float32Array): boolean {
  return values.every((value) => Number.isFinite(value));
}

/** BᵀB, lower triangle. */
function columnProducts(b: Float32Array, rows: number, r: number): Float64Array {
  const result = new Float64Array(r * r);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < r; k++) {
      const value = b[i * r + k]!;
      if (value === 0) continue;
      for (let l = 0; l <= k; l++) result[k * r + l]! += value * b[i * r + l]!;
    }
  }
  return result;
}

/** A Aᵀ, both triangles. */
function rowProducts(a: Float32Array, columns: number, r: number): Float64Array {
  const result = new Float64Array(r * r);
  for (let k = 0; k < r; k++) {
    for (let l = 0; l <= k; l++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += a[k * columns + j]! * a[l * columns + j]!;
      result[k * r + l] = sum;
      result[l * r + k] = sum;
    }
  }
  return result;
}

/** L of G = L Lᵀ for a positive semidefinite G; a pivot that vanishes leaves its column at zero. Overwrites G. */
function choleskyFactor(g: Float64Array, r: number): Float64Array {
  let largest = 0;
  for (let k = 0; k < r; k++) largest = Math.max(largest, g[k * r + k]!);
  const smallest = largest * r * Number.EPSILON;
  for (let k = 0; k < r; k++) {
    for (let l = 0; l < k; l++) g[l * r + k] = 0;
    const pivot = g[k * r + k]!;
    const root = pivot > smallest ? Math.sqrt(pivot) : 0;
    g[k * r + k] = root;
    for (let i = k + 1; i < r; i++) g[i * r + k] = root === 0 ? 0 : g[i * r + k]! / root;
    for (let j = k + 1; j < r; j++) {
      for (let i = j; i < r; i++) g[i * r + j]! -= g[i * r + k]! * g[j * r + k]!;
    }
  }
  return g;
}

/** Lᵀ M L for a lower triangular L and a symmetric M. */
function conjugated(l: Float64Array, m: Float64Array, r: number): Float64Array {
  const ml = new Float64Array(r * r);
  const result = new Float64Array(r * r);
  for (let i = 0; i < r; i++) {
    for (let k = 0; k < r; k++) {
      const value = m[i * r + k]!;
      for (let j = 0; j <= k; j++) ml[i * r + j]! += value * l[k * r + j]!;
    }
  }
  for (let k = 0; k < r; k++) {
    for (let i = 0; i <= k; i++) {
      const value = l[k * r + i]!;
      for (let j = 0; j < r; j++) result[i * r + j]! += value * ml[k * r + j]!;
    }
  }
  return result;
}
