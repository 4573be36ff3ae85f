/**
 * Where places stop to rise from 0 to below `size`, in which each number of a tensor comes at most once; -1 for nowhere.
 */
export function firstOutOfOrder(places: Int32Array, size: number): number {
  let before = -1;
  // A loop over millions of places.
  for (let at = 0; at < places.length; at++) {
    const place = places[at]!;
    if (place >= size || place <= before) return at;
    before = place;
  }
  return -1;
}
