/**
 * Where places stop to rise from 0 to below `size`, in which each number of a tensor comes at most once; -1 for nowhere.
 */
export function firstOutOfOrder(places: Int32Array, size: number): number {
  return places.findIndex((place, at) => place >= size || place <= (at === 0 ? -1 : places[at - 1]!));
}
