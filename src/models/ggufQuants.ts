import { numberToHalf } from './floatFormats.js';

/**
 * How values become the blocks of 32 of GGML's older types, bit for bit as its reference has it: arithmetic in float32, scale and
 * minimum of a block rounded to F16 only where they are stored. Checked against the `gguf` Python package.
 */

/** Writes the block whose values start at `from` to `bytes` from `at`, which are zeros. */
export type BlockWriter = (values: Float32Array, from: number, bytes: Uint8Array, at: number) => void;

const SIZE = 32;
const { fround } = Math;

/** x ≈ d · (q − 8): what is largest in magnitude becomes −8. */
export const writeQ4_0: BlockWriter = (values, from, bytes, at) => {
  const { d, level } = symmetric(values, from, 8);
  writeHalf(bytes, at, d);
  writeNibbles(bytes, at + 2, level);
};

/** x ≈ d · q + m between the smallest and the largest. */
export const writeQ4_1: BlockWriter = (values, from, bytes, at) => {
  const { d, m, level } = ranged(values, from, 15);
  writeHalf(bytes, at, d);
  writeHalf(bytes, at + 2, m);
  writeNibbles(bytes, at + 4, level);
};

/** x ≈ d · (q − 16), the fifth bits in a word of their own. */
export const writeQ5_0: BlockWriter = (values, from, bytes, at) => {
  const { d, level } = symmetric(values, from, 16);
  writeHalf(bytes, at, d);
  writeFifthBits(bytes, at + 2, level);
  writeNibbles(bytes, at + 6, level);
};

export const writeQ5_1: BlockWriter = (values, from, bytes, at) => {
  const { d, m, level } = ranged(values, from, 31);
  writeHalf(bytes, at, d);
  writeHalf(bytes, at + 2, m);
  writeFifthBits(bytes, at + 4, level);
  writeNibbles(bytes, at + 8, level);
};

/** x ≈ d · q, q signed: halves are rounded away from zero. */
export const writeQ8_0: BlockWriter = (values, from, bytes, at) => {
  const d = fround(Math.abs(extreme(values, from, SIZE)) / 127);
  const inverse = inverseOf(d);
  writeHalf(bytes, at, d);
  for (let i = 0; i < SIZE; i++) {
    const scaled = fround(values[from + i]! * inverse);
    const magnitude = Math.floor(Math.abs(scaled) + 0.5);
    bytes[at + 2 + i] = scaled < 0 ? -magnitude : magnitude;
  }
};

/** The value of largest magnitude, the first of them, with its sign. */
export function extreme(values: Float32Array, from: number, count: number): number {
  let found = values[from]!;
  for (let i = from + 1; i < from + count; i++) {
    if (Math.abs(values[i]!) > Math.abs(found)) found = values[i]!;
  }
  return found;
}

export function writeHalf(bytes: Uint8Array, at: number, value: number): void {
  const half = numberToHalf(value);
  bytes[at] = half & 255;
  bytes[at + 1] = half >> 8;
}

/** The level of value i of a block, from 0 up. */
type Level = (i: number) => number;

function symmetric(
  values: Float32Array,
  from: number,
  middle: number,
): { readonly d: number; readonly level: Level } {
  const d = fround(extreme(values, from, SIZE) / -middle);
  const inverse = inverseOf(d);
  const top = 2 * middle - 1;
  return {
    d,
    level: (i) => Math.min(top, Math.trunc(fround(fround(values[from + i]! * inverse) + (middle + 0.5)))),
  };
}

function ranged(
  values: Float32Array,
  from: number,
  top: number,
): { readonly d: number; readonly m: number; readonly level: Level } {
  let [smallest, largest] = [values[from]!, values[from]!];
  for (let i = from + 1; i < from + SIZE; i++) {
    smallest = Math.min(smallest, values[i]!);
    largest = Math.max(largest, values[i]!);
  }
  const d = fround(fround(largest - smallest) / top);
  const inverse = inverseOf(d);
  return {
    d,
    m: smallest,
    level: (i) => Math.min(top, Math.trunc(fround(fround(fround(values[from + i]! - smallest) * inverse) + 0.5))),
  };
}

function inverseOf(d: number): number {
  return d === 0 ? 0 : fround(1 / d);
}

/** The low four bits: values 0–15 of a block in the low nibbles, 16–31 in the high ones. */
function writeNibbles(bytes: Uint8Array, at: number, level: Level): void {
  for (let i = 0; i < 16; i++) bytes[at + i] = (level(i) & 15) | ((level(i + 16) & 15) << 4);
}

function writeFifthBits(bytes: Uint8Array, at: number, level: Level): void {
  for (let i = 0; i < SIZE; i++) bytes[at + (i >> 3)]! |= (level(i) >> 4) << (i & 7);
}
