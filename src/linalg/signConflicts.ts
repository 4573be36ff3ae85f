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
  return signConflictsAmong([one, other], random, MOST_PLACES)[0]![1];
}

/**
 * The same of every two of several products of one shape.
 *
 * @param most places that are looked at
 * @returns [i][j] for i < j
 */
export function signConflictsAmong(
  products: readonly Factors[],
  random: Random,
  most: number,
): readonly (readonly (number | undefined)[])[] {
  const [{ a, b, r }] = products as [Factors, ...Factors[]];
  const [rows, columns] = [b.length / r, a.length / r];
  // Columns of A in one piece, as rows of B are.
  const turned = products.map((each) => ({ ...each, a: transposed(each.a, each.r, columns) }));
  const count = products.length;
  const opposite = new Float64Array(count * count);
  const compared = new Float64Array(count * count);
  const signs = new Int8Array(count);
  const look = (i: number, j: number): void => {
    turned.forEach((each, at) => (signs[at] = sign(each, i, j)));
    for (let one = 0; one < count; one++) {
      for (let other = one + 1; other < count; other++) {
        const product = signs[one]! * signs[other]!;
        if (product === 0) continue;
        compared[one * count + other]!++;
        if (product < 0) opposite[one * count + other]!++;
      }
    }
  };
  if (rows * columns <= most) {
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) look(i, j);
  } else {
    for (let drawn = 0; drawn < most; drawn++) look(random.integer(rows), random.integer(columns));
  }
  return products.map((_, one) =>
    products.map((__, other) => {
      const at = one * count + other;
      return compared[at] === 0 ? undefined : opposite[at]! / compared[at]!;
    }),
  );
}

/** The sign of one number of B·A. @param a [columns, r] */
function sign({ b, a, r }: Factors, i: number, j: number): number {
  let sum = 0;
  for (let k = 0; k < r; k++) sum += b[i * r + k]! * a[j * r + k]!;
  return Math.sign(sum);
}
