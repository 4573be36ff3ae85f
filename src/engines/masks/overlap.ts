/** Two masks A and B of the same numbers. Those of several tensors add up. */
export interface Overlap {
  /** |A|, |B|, |A ∩ B| */
  readonly one: number;
  readonly other: number;
  readonly shared: number;
  /** What |A ∩ B| is in the mean where places are drawn at random, in each tensor as many as A and B have there. */
  readonly expectedShared: number;
  /** Numbers that there are. */
  readonly size: number;
}

/**
 * The overlap in one tensor. Of a places and of b, drawn at random out of n without looking at each other, a·b / n are in
 * both in the mean (the hypergeometric distribution's).
 */
export function overlapOf(one: number, other: number, shared: number, size: number): Overlap {
  return { one, other, shared, expectedShared: size === 0 ? 0 : (one * other) / size, size };
}

export function addedUp(overlaps: Iterable<Overlap>): Overlap {
  let [one, other, shared, expectedShared, size] = [0, 0, 0, 0, 0];
  for (const each of overlaps) {
    one += each.one;
    other += each.other;
    shared += each.shared;
    expectedShared += each.expectedShared;
    size += each.size;
  }
  return { one, other, shared, expectedShared, size };
}

/** |A ∩ B| / |A ∪ B| (Jaccard 1901); undefined where both are empty. */
export function jaccard({ one, other, shared }: Pick<Overlap, 'one' | 'other' | 'shared'>): number | undefined {
  const union = one + other - shared;
  return union === 0 ? undefined : shared / union;
}

/** The same of random masks with as many places in each tensor, their mean intersection taken for the intersection. */
export function expectedJaccard({ one, other, expectedShared }: Overlap): number | undefined {
  return jaccard({ one, other, shared: expectedShared });
}
