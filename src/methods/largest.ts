/**
 * Marks the `count` largest numbers over all parts together, 1 for kept; of equal ones those that come first.
 *
 * @param parts non-negative numbers without NaN
 * @returns one array per part, of its length
 */
export function markLargest(parts: readonly Float32Array[], count: number): Uint8Array[] {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  if (count <= 0) return parts.map(({ length }) => new Uint8Array(length));
  if (count >= total) return parts.map(({ length }) => new Uint8Array(length).fill(1));
  const sorted = new Float32Array(total);
  let offset = 0;
  for (const part of parts) {
    sorted.set(part, offset);
    offset += part.length;
  }
  sorted.sort();
  const threshold = sorted[total - count]!;
  // Of the numbers that equal the smallest kept one only some may stay.
  let above = 0;
  for (let at = total - 1; at >= 0 && sorted[at]! > threshold; at--) above++;
  let equalLeft = count - above;
  return parts.map((part) =>
    Uint8Array.from(part, (value) => (value > threshold || (value === threshold && equalLeft-- > 0) ? 1 : 0)),
  );
}
