/**
 * Which numbers of a tensor a mask marks: all of them; some, by their places, rising; or packed bits, 32 to an integer,
 * the first lowest. Nothing takes more memory than it has on disk.
 */
export type Places =
  | { readonly kind: 'all' }
  | { readonly kind: 'list'; readonly indices: Int32Array | Uint32Array }
  | { readonly kind: 'bits'; readonly words: Int32Array };

export const NO_PLACES: Places = { kind: 'list', indices: new Uint32Array() };

/** How many numbers are marked. @param size of the tensor */
export function placesCount(places: Places, size: number): number {
  switch (places.kind) {
    case 'all':
      return size;
    case 'list':
      return places.indices.length;
    case 'bits':
      return bitsIn(places.words, undefined, size);
  }
}

/** |A ∩ B| of two masks of one tensor, in time and memory linear in what they hold. @param size of the tensor */
export function sharedCount(one: Places, other: Places, size: number): number {
  if (one.kind === 'all') return placesCount(other, size);
  if (other.kind === 'all') return placesCount(one, size);
  if (one.kind === 'bits' && other.kind === 'bits') return bitsIn(one.words, other.words, size);
  if (one.kind === 'bits') return sharedCount(other, one, size);
  if (other.kind === 'bits') {
    let shared = 0;
    for (const place of one.indices) shared += (other.words[place >> 5]! >>> (place & 31)) & 1;
    return shared;
  }
  return sharedPlaces(one.indices, other.indices);
}

/** Both rise: each step leaves one place behind. */
function sharedPlaces(one: Int32Array | Uint32Array, other: Int32Array | Uint32Array): number {
  let shared = 0;
  for (let at = 0, by = 0; at < one.length && by < other.length;) {
    const [left, right] = [one[at]!, other[by]!];
    if (left === right) shared += 1;
    if (left <= right) at += 1;
    if (right <= left) by += 1;
  }
  return shared;
}

/** Bits that are set, in both where two are given; those of the last word beyond the tensor do not count. */
function bitsIn(words: Int32Array, also: Int32Array | undefined, size: number): number {
  let count = 0;
  const last = Math.ceil(size / 32) - 1;
  const rest = size % 32;
  for (let at = 0; at <= last; at++) {
    let word = also === undefined ? words[at]! : words[at]! & also[at]!;
    if (at === last && rest !== 0) word &= 2 ** rest - 1;
    for (; word !== 0; word &= word - 1) count += 1;
  }
  return count;
}
