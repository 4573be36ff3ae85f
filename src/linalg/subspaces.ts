import { multiplied, transposed } from './products.js';
import { symmetricEigenvalues } from './symmetricEigen.js';

/**
 * The principal angles between the spans of two sets of orthonormal columns (Björck & Golub 1973): their cosines are the
 * singular values of Q₁ᵀ·Q₂. Where an angle is below 45° its sine tells it better: those are the singular values of
 * Q₂ − Q₁·(Q₁ᵀ·Q₂), for Q₁ with no fewer columns than Q₂.
 *
 * @param one [rows, k₁]
 * @param other [rows, k₂]
 * @returns min(k₁, k₂) angles in radians, smallest first, right within some 1e-8
 */
export function principalAngles(one: Float64Array, other: Float64Array, rows: number): Float64Array {
  const [wide, narrow] = one.length >= other.length ? [one, other] : [other, one];
  const [many, few] = [wide.length / rows, narrow.length / rows];
  const inner = overlaps(wide, narrow, rows);
  const within = multiplied(wide, inner, rows, many);
  const beside = narrow.map((value, at) => value - within[at]!);
  const cosines = singularValues(inner, many, few);
  // The largest cosine belongs to the smallest sine.
  const sines = singularValues(beside, rows, few).reverse();
  return cosines.map((cosine, at) =>
    cosine * cosine >= 0.5 ? Math.asin(Math.min(1, sines[at]!)) : Math.acos(cosine),
  );
}

/** Q₁ᵀ·Q₂, [k₁, k₂]. @param one [rows, k₁] @param other [rows, k₂] */
export function overlaps(one: Float64Array, other: Float64Array, rows: number): Float64Array {
  const columns = one.length / rows;
  return multiplied(transposed(one, rows, columns), other, columns, rows);
}

/**
 * How much of the first i columns of U lies within the first j of V, or the other way round:
 * φ = ‖U_iᵀ·V_j‖² / min(i, j), from 0 to 1 (Hu et al. 2021, section 7.2, eq. 4). Of directions drawn at random out of n
 * it is max(i, j) / n in the mean.
 *
 * @param inner UᵀV as {@link overlaps} gives it, with `columns` columns
 */
export function subspaceSimilarity(inner: Float64Array, columns: number, i: number, j: number): number {
  let squares = 0;
  for (let k = 0; k < i; k++) {
    for (let l = 0; l < j; l++) squares += inner[k * columns + l]! ** 2;
  }
  return squares / Math.min(i, j);
}

/** Of a narrow matrix [rows, columns], largest first. */
function singularValues(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const gram = multiplied(transposed(matrix, rows, columns), matrix, columns, rows);
  return symmetricEigenvalues(gram, columns).map((value) => Math.sqrt(Math.max(0, value)));
}
