import type { Value } from '../runtime/runtime.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import { input } from '../tensor/tensor.js';
import type { Input, Variable } from '../tensor/tensor.js';

/** Which numbers of a trainable train. */
export interface Mask {
  /** As a step's graph reads it. */
  readonly input: Input;
  /** 1 where the number trains. */
  readonly data: Uint8Array;
}

/** A 0 or 1 for each number as they are kept: 32 to an integer, the first lowest. */
export function packedBits(marks: Uint8Array): Int32Array {
  const bits = new Int32Array(Math.ceil(marks.length / 32));
  marks.forEach((mark, index) => (bits[index >> 5]! |= mark << (index & 31)));
  return bits;
}

/** The marks of so many numbers, as bytes. */
export function unpackedBits(bits: Int32Array, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => (bits[at >> 5]! >>> (at & 31)) & 1);
}

/**
 * The mask of a trainable out of its packed bits; undefined where they are not a mask of its size.
 * @param name of the input
 */
export function maskOf(
  { shape }: Variable,
  bits: Float32Array | Int32Array | undefined,
  name: string,
): Mask | undefined {
  const size = fixedSize(shape);
  if (!(bits instanceof Int32Array) || bits.length !== Math.ceil(size / 32)) return undefined;
  return { input: input(name, 'bool', shape), data: unpackedBits(bits, size) };
}

/** Masks as values of a step's inputs. */
export function maskFeeds(masks: Iterable<Mask>): Record<string, Value> {
  return Object.fromEntries(
    [...masks].map(({ input: { name, shape }, data }): [string, Value] => [
      name,
      { dtype: 'bool', shape: fixedShape(shape), data },
    ]),
  );
}

/** How many numbers train. */
export function countOf({ data }: Mask): number {
  return data.reduce((sum, bit) => sum + bit, 0);
}

/** The share of the numbers that trains. */
export function densityOf(mask: Mask): number {
  return countOf(mask) / mask.data.length;
}
