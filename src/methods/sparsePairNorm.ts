import { lowRankNorm } from '../linalg/products.js';
import type { PairValues } from './lowRankPair.js';

/**
 * ‖s·B·A + scatter(V)‖_F without the matrix: ‖s·B·A‖² + 2·⟨s·B·A, V⟩ + ‖V‖², the product taken at V's places alone.
 *
 * @param pair A [r, in] and B [out, r]
 * @param values V
 * @param places of V in the weight as it lies, row-major
 * @param swapped whether the weight lies as [in, out]
 */
export function sparsePairNorm(
  { a, b, r, scale }: PairValues & { readonly scale: number },
  values: Float32Array,
  places: Int32Array,
  swapped: boolean,
): number {
  const [rows, columns] = [b.length / r, a.length / r];
  const width = swapped ? rows : columns;
  let sum = (scale * lowRankNorm(b, a, r)) ** 2;
  for (const [at, place] of places.entries()) {
    const [first, second] = [Math.floor(place / width), place % width];
    const [i, j] = swapped ? [second, first] : [first, second];
    let product = 0;
    for (let k = 0; k < r; k++) product += b[i * r + k]! * a[k * columns + j]!;
    sum += values[at]! * (values[at]! + 2 * scale * product);
  }
  return Math.sqrt(Math.max(0, sum));
}
