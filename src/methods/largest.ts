/**
 * Marks the `count` largest numbers over all parts together, 1 for kept; of equal ones those that come first.
 *
 * Bits of non-negative floats, read as integers, are in the order of the floats: the smallest number that is kept is
 * found in two counts over their halves, without a copy and without sorting.
 *
 * @param parts non-negative numbers without NaN
 * @returns one array per part, of its length
 */
export function markLargest(parts: readonly Float32Array[], count: number): Uint8Array[] {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  if (count <= 0) return parts.map(({ length }) => new Uint8Array(length));
  if (count >= total) return parts.map(({ length }) => new Uint8Array(length).fill(1));
  // −0 has a bit of its own, which would make it the largest.
  const bits = parts.map((part) => new Uint32Array(part.buffer, part.byteOffset, part.length));
  const plain = (each: number): number => (each === NEGATIVE_ZERO ? 0 : each);
  const high = bucketOf(bits, count, (each) => plain(each) >>> 16);
  const low = bucketOf(bits, count - high.above, (each) =>
    plain(each) >>> 16 === high.bucket ? each & 0xffff : -1,
  );
  const threshold = ((high.bucket << 16) | low.bucket) >>> 0;
  // Of the numbers that equal the smallest kept one only some may stay.
  let equalLeft = count - high.above - low.above;
  return bits.map((part) => {
    const marks = new Uint8Array(part.length);
    for (let at = 0; at < part.length; at++) {
      const each = plain(part[at]!);
      if (each > threshold || (each === threshold && equalLeft-- > 0)) marks[at] = 1;
    }
    return marks;
  });
}

const NEGATIVE_ZERO = 0x80000000;

/** The bucket in which the `count` largest end, and how many numbers are in buckets above it; −1 is in no bucket. */
function bucketOf(
  parts: readonly Uint32Array[],
  count: number,
  bucket: (bits: number) => number,
): { readonly bucket: number; readonly above: number } {
  const sizes = new Float64Array(1 << 16);
  for (const part of parts) {
    for (let at = 0; at < part.length; at++) {
      const place = bucket(part[at]!);
      if (place >= 0) sizes[place]!++;
    }
  }
  let above = 0;
  let at = sizes.length - 1;
  while (above + sizes[at]! < count) above += sizes[at--]!;
  return { bucket: at, above };
}
