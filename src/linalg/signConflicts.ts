import type { Random } from '../common/random.js';
import { transposed } from './products.js';

/** B [rows, r] and A [r, columns] of a product. */
interface Factors {
  readonly r: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** Places of a larger product that are looked at: the share's standard error is 0.1 percentage points at most then. */
const MOST_PLACES = 2 ** 18;

/**
 * The share of places at which B·A and B'·A' have opposite signs, of those at which neither is 0. Of matrices that have
 * nothing to do with each other it is half. In products of more than a quarter of a million numbers as many places are drawn.
 *
 * @returns undefined where there is no such place
 */
export function signConflicts(one: Factors, other: Factors, random: Random): number | undefined {
  const [rows, columns] = [one.b.length / one.r, one.a.length / one.r];
  // Columns of A in one piece, as rows of B are.
  const [first, second] = [one, other].map(({ a, r }) => transposed(a, r, columns)) as [
    Float32Array,
    Float32Array,
  ];
  let [opposite, compared] = [0, 0];
  const look = (i: number, j: number): void => {
    const product = entry(one.b, first, one.r, i, j) * entry(other.b, second, other.r, i, j);
    if (product === 0) return;
    compared++;
    if (product < 0) opposite++;
  };
  if (rows * columns <= MOST_PLACES) {
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) look(i, j);
  } else {
    for (let drawn = 0; drawn < MOST_PLACES; drawn++) look(random.integer(rows), random.integer(columns));
  }
  return compared === 0 ? undefined : opposite / compared;
}

/** The sign of one number of B·A. @param a [columns, r] */
function entry(b: Float32Array, a: Float32Array, r: number, i: number, j: number): number {
  let sum = 0;
  for (let k = 0; k < r; k++) sum += b[i * r + k]! * a[j * r + k]!;
  return Math.sign(sum);
}
