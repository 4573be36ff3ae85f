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
  const bits = parts.map(bitsOf);
  const high = newCounts();
  for (const part of bits) countHigh(part, high, magnitude);
  const { bucket, above } = bucketOf(high, count);
  const low = newCounts();
  for (const part of bits) countLow(part, low, bucket, magnitude);
  const end = bucketOf(low, count - above);
  const limit: Limit = { threshold: bucket * HALF + end.bucket, equal: count - above - end.above };
  return bits.map((part) => {
    const marks = new Uint8Array(part.length);
    visitKept(part, limit, magnitude, (at) => (marks[at] = 1));
    return marks;
  });
}

/**
 * The places of the `count` numbers of smallest magnitude over all parts together, rising in each part; of equal ones
 * those that come first. Each part is read three times, one at a time, so that no more than one is in memory.
 *
 * @param parts numbers without NaN
 */
export async function smallestMagnitudes(
  parts: readonly (() => Promise<Float32Array>)[],
  count: number,
): Promise<Int32Array[]> {
  const high = newCounts();
  for (const read of parts) countHigh(bitsOf(await read()), high, smallness);
  const total = high.reduce((sum, size) => sum + size, 0);
  const wanted = Math.min(count, total);
  const { bucket, above } = bucketOf(high, wanted);
  const low = newCounts();
  for (const read of parts) countLow(bitsOf(await read()), low, bucket, smallness);
  const end = bucketOf(low, wanted - above);
  const limit: Limit = { threshold: bucket * HALF + end.bucket, equal: wanted - above - end.above };
  const places: Int32Array[] = [];
  for (const read of parts) {
    const own: number[] = [];
    visitKept(bitsOf(await read()), limit, smallness, (at) => own.push(at));
    places.push(Int32Array.from(own));
  }
  return places;
}

const HALF = 1 << 16;
const MAGNITUDE = 0x7fffffff;

/** What numbers are ordered by, out of their bits: a whole number below 2³¹, the larger the sooner it is kept. */
type Order = (bits: number) => number;

const magnitude: Order = (bits) => bits & MAGNITUDE;
const smallness: Order = (bits) => MAGNITUDE - (bits & MAGNITUDE);

function bitsOf(part: Float32Array): Uint32Array {
  return new Uint32Array(part.buffer, part.byteOffset, part.length);
}

function newCounts(): Float64Array {
  return new Float64Array(HALF);
}

/** Counts the upper halves of a part's numbers. */
function countHigh(part: Uint32Array, counts: Float64Array, order: Order): void {
  for (let at = 0; at < part.length; at++) counts[order(part[at]!) >>> 16]!++;
}

/** Counts the lower halves of those numbers whose upper half is `bucket`. */
function countLow(part: Uint32Array, counts: Float64Array, bucket: number, order: Order): void {
  for (let at = 0; at < part.length; at++) {
    const each = order(part[at]!);
    if (each >>> 16 === bucket) counts[each & (HALF - 1)]!++;
  }
}

/** The bucket in which the `count` largest end, and how many numbers are in buckets above it. */
function bucketOf(counts: Float64Array, count: number): { readonly bucket: number; readonly above: number } {
  let above = 0;
  let at = counts.length - 1;
  while (at > 0 && above + counts[at]! < count) above += counts[at--]!;
  return { bucket: at, above };
}

/** The smallest number that is kept, and how many of those that equal it are. */
interface Limit {
  readonly threshold: number;
  /** Counts down over all parts. */
  equal: number;
}

function visitKept(part: Uint32Array, limit: Limit, order: Order, visit: (at: number) => void): void {
  for (let at = 0; at < part.length; at++) {
    const each = order(part[at]!);
    if (each > limit.threshold || (each === limit.threshold && limit.equal-- > 0)) visit(at);
  }
}
