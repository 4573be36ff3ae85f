/** Differences of one tensor, without the zeros between them. */
export interface SparseDifference {
  /** Places in the tensor, row-major, rising. */
  readonly places: Int32Array;
  /** One for each of them. */
  readonly values: Float32Array;
}

/** Differences of a tensor without their zeros. */
export function withoutZeros(all: Float32Array): SparseDifference {
  let count = 0;
  // Loops over millions of numbers.
  for (let at = 0; at < all.length; at++) if (all[at] !== 0) count++;
  const places = new Int32Array(count);
  const values = new Float32Array(count);
  let next = 0;
  for (let at = 0; at < all.length; at++) {
    if (all[at] === 0) continue;
    places[next] = at;
    values[next++] = all[at]!;
  }
  return { places, values };
}

/**
 * Σ w·δ over differences of one tensor. Sums are taken in float64 and rounded once, so that the order makes no difference.
 *
 * @param terms each with what it is multiplied by
 * @returns the sum at every place that one of them names, and at how many places more than one does
 */
export function sparseSum(
  terms: readonly { readonly difference: SparseDifference; readonly weight: number }[],
): SparseDifference & { readonly overlap: number } {
  const longest = terms.reduce((sum, { difference }) => sum + difference.places.length, 0);
  const places = new Int32Array(longest);
  const values = new Float32Array(longest);
  const next = new Uint32Array(terms.length);
  let count = 0;
  let overlap = 0;
  for (;;) {
    let place = Infinity;
    for (let at = 0; at < terms.length; at++) {
      place = Math.min(place, terms[at]!.difference.places[next[at]!] ?? Infinity);
    }
    if (place === Infinity) break;
    let sum = 0;
    let hits = 0;
    for (let at = 0; at < terms.length; at++) {
      const { difference, weight } = terms[at]!;
      if (difference.places[next[at]!] !== place) continue;
      sum += weight * difference.values[next[at]!++]!;
      hits++;
    }
    places[count] = place;
    values[count++] = sum;
    if (hits > 1) overlap++;
  }
  return { places: places.slice(0, count), values: values.slice(0, count), overlap };
}
