import { halfToNumber, numberToHalf } from './floatFormats.js';
import { extreme, writeHalf } from './ggufQuants.js';
import type { BlockWriter } from './ggufQuants.js';

/**
 * How values become the blocks of 256 of GGML's K types: groups with a scale (and a minimum) each, which are themselves
 * small integers times a scale of the block in F16. The format says what a block means and not how it is chosen. Here:
 *
 * 1. Each group alone: for some steps near range / levels its values are rounded to levels, and scale and minimum fitted to these by
 *    least squares; what leaves the smallest squared error is kept.
 * 2. Scales and minima of the groups are rounded to integers, by the largest among them, and the values to levels again. Of
 *    4 and 5 bits, where rounding costs most, the integers beside them are tried, too.
 * 3. The two numbers of the block are fitted to all its levels by least squares, and the levels found once more, where
 *    that is better.
 *
 * Checked against the `gguf` Python package, which reads what is written, and ggml's own quantizer, whose error it does not exceed on the whole.
 */

const SIZE = 256;
/** Steps tried for a group: its range in levels, changed by so much. Where several are exact the first is taken. */
const TRIES = [0, -0.2, 0.2, -0.4, 0.4, -0.6, 0.6, -0.8, 0.8, -1, 1];

/** 8 groups of 32: x ≈ (d · scale) · q − (dmin · min), q of 4 bits. */
export const writeQ4_K: BlockWriter = (values, from, bytes, at) => {
  const { d, dmin, scales, mins, levels } = affineBlock(values, from, 15);
  writeHalf(bytes, at, d);
  writeHalf(bytes, at + 2, dmin);
  writeScalesAndMins(bytes, at + 4, scales, mins);
  writeLowNibbles(bytes, at + 16, levels);
};

/** The same with a fifth bit. */
export const writeQ5_K: BlockWriter = (values, from, bytes, at) => {
  const { d, dmin, scales, mins, levels } = affineBlock(values, from, 31);
  writeHalf(bytes, at, d);
  writeHalf(bytes, at + 2, dmin);
  writeScalesAndMins(bytes, at + 4, scales, mins);
  for (let i = 0; i < SIZE; i++) bytes[at + 16 + (i & 31)]! |= (levels[i]! >> 4) << (i >> 5);
  writeLowNibbles(bytes, at + 48, levels);
};

/** 16 groups of 16: x ≈ (d · scale) · (q − 32), scales signed bytes, q of 4 low and 2 high bits. */
export const writeQ6_K: BlockWriter = (values, from, bytes, at) => {
  const { d, scales, levels } = symmetricBlock(values, from);
  writeHalf(bytes, at + 208, d);
  for (let group = 0; group < 16; group++) bytes[at + 192 + group] = scales[group]!;
  for (let i = 0; i < SIZE; i++) {
    const [part, run, lane] = [i >> 7, (i >> 5) & 3, i & 31];
    const q = levels[i]! + 32;
    bytes[at + 64 * part + 32 * (run & 1) + lane]! |= (q & 15) << (run < 2 ? 0 : 4);
    bytes[at + 128 + 32 * part + lane]! |= (q >> 4) << (2 * run);
  }
};

/** What is at hand of a block before it is packed. */
interface Affine {
  readonly d: number;
  readonly dmin: number;
  readonly scales: Uint8Array;
  readonly mins: Uint8Array;
  readonly levels: Uint8Array;
}

function affineBlock(values: Float32Array, from: number, top: number): Affine {
  const fits = Array.from({ length: 8 }, (_, group) => fitGroup(values, from + 32 * group, top));
  const d = inHalf(Math.max(...fits.map(({ scale }) => scale)) / 63);
  const dmin = inHalf(Math.max(...fits.map(({ min }) => min)) / 63);
  const [scales, mins] = [new Uint8Array(8), new Uint8Array(8)];
  for (const [group, fit] of fits.entries()) {
    let least = Infinity;
    for (const scale of besides(fit.scale, d)) {
      for (const min of besides(fit.min, dmin)) {
        const error = groupError(values, from + 32 * group, top, d * scale, dmin * min, least);
        if (error >= least) continue;
        [least, scales[group], mins[group]] = [error, scale, min];
      }
    }
  }
  const first = affineLevels(values, from, top, { d, dmin, scales, mins });
  const units = refit(values, from, first);
  const second = affineLevels(values, from, top, { ...units, scales, mins });
  return second.error < first.error ? second : first;
}

/**
 * The integer that times the unit is nearest, and those beside it. The largest stays: it made the unit, which a block that is
 * quantized a second time finds again.
 */
function besides(x: number, unit: number): number[] {
  if (unit <= 0) return [0];
  const nearest = level(x / unit, 63);
  return nearest === 63 ? [63] : [nearest, nearest - 1, nearest + 1].filter((each) => each >= 0 && each < 63);
}

/** Squared error of 32 values; Infinity once it is no less than `least`. */
function groupError(
  values: Float32Array,
  from: number,
  top: number,
  step: number,
  min: number,
  least: number,
): number {
  const inverse = step > 0 ? 1 / step : 0;
  let error = 0;
  for (let i = from; i < from + 32 && error < least; i++) {
    const x = values[i]! + min;
    error += (step * level(x * inverse, top) - x) ** 2;
  }
  return error;
}

/** Scale ≥ 0 and minimum ≥ 0 for 32 values: x ≈ scale · q − min. */
function fitGroup(
  values: Float32Array,
  from: number,
  top: number,
): { readonly scale: number; readonly min: number } {
  let [low, high, sum, squares] = [0, values[from]!, 0, 0];
  for (let i = from; i < from + 32; i++) {
    const x = values[i]!;
    low = Math.min(low, x);
    high = Math.max(high, x);
    sum += x;
    squares += x * x;
  }
  if (high <= low) return { scale: 0, min: -low };
  let best = { scale: (high - low) / top, min: -low, error: Infinity };
  for (const more of TRIES) {
    const inverse = (top + more) / (high - low);
    let [q1, q2, qx] = [0, 0, 0];
    for (let i = from; i < from + 32; i++) {
      const q = level(inverse * (values[i]! - low), top);
      q1 += q;
      q2 += q * q;
      qx += q * values[i]!;
    }
    const determinant = 32 * q2 - q1 * q1;
    if (determinant <= 0) continue;
    let scale = (32 * qx - q1 * sum) / determinant;
    let min = (q1 * qx - q2 * sum) / determinant;
    if (min < 0) [scale, min] = [qx / q2, 0];
    const error =
      squares - 2 * scale * qx + 2 * min * sum + scale * scale * q2 - 2 * scale * min * q1 + 32 * min * min;
    if (scale > 0 && error < best.error) best = { scale, min, error };
  }
  return best;
}

function affineLevels(
  values: Float32Array,
  from: number,
  top: number,
  { d, dmin, scales, mins }: Omit<Affine, 'levels'>,
): Affine & { readonly error: number } {
  const levels = new Uint8Array(SIZE);
  let error = 0;
  for (let i = 0; i < SIZE; i++) {
    const [step, min] = [d * scales[i >> 5]!, dmin * mins[i >> 5]!];
    const x = values[from + i]!;
    const q = step > 0 ? level((x + min) / step, top) : 0;
    levels[i] = q;
    error += (step * q - min - x) ** 2;
  }
  return { d, dmin, scales, mins, levels, error };
}

/** The d and dmin that fit all values best, as F16 holds them: x ≈ d · a − dmin · b with a = scale · q and b = min. */
function refit(
  values: Float32Array,
  from: number,
  { d, dmin, scales, mins, levels }: Affine,
): { readonly d: number; readonly dmin: number } {
  let [aa, ab, bb, ax, bx] = [0, 0, 0, 0, 0];
  for (let i = 0; i < SIZE; i++) {
    const [a, b, x] = [scales[i >> 5]! * levels[i]!, mins[i >> 5]!, values[from + i]!];
    aa += a * a;
    ab += a * b;
    bb += b * b;
    ax += a * x;
    bx += b * x;
  }
  const determinant = aa * bb - ab * ab;
  if (determinant <= 0) return { d: aa > 0 ? inHalf(ax / aa) : d, dmin };
  return { d: inHalf((bb * ax - ab * bx) / determinant), dmin: inHalf((ab * ax - aa * bx) / determinant) };
}

interface Symmetric {
  readonly d: number;
  readonly scales: Int8Array;
  readonly levels: Int8Array;
}

function symmetricBlock(values: Float32Array, from: number): Symmetric {
  const fits = Float32Array.from({ length: 16 }, (_, group) => fitSymmetric(values, from + 16 * group));
  // The scale of largest magnitude becomes −128.
  const unit = inHalf(extreme(fits, 0, 16) / -128);
  const scales = Int8Array.from(fits, (scale) => (unit === 0 ? 0 : within(scale / unit, -128, 127)));
  const first = symmetricLevels(values, from, unit, scales);
  let [aa, ax] = [0, 0];
  for (let i = 0; i < SIZE; i++) {
    const a = scales[i >> 4]! * first.levels[i]!;
    aa += a * a;
    ax += a * values[from + i]!;
  }
  const second = symmetricLevels(values, from, aa > 0 ? inHalf(ax / aa) : unit, scales);
  return second.error < first.error ? second : first;
}

/** The scale for 16 values: x ≈ scale · l, l from −32 to 31; what is largest in magnitude becomes about −32. */
function fitSymmetric(values: Float32Array, from: number): number {
  const largest = extreme(values, from, 16);
  if (largest === 0) return 0;
  let best = { scale: 0, gain: 0 };
  for (const more of TRIES) {
    const inverse = -(32 + more) / largest;
    let [ll, lx] = [0, 0];
    for (let i = from; i < from + 16; i++) {
      const l = within(inverse * values[i]!, -32, 31);
      ll += l * l;
      lx += l * values[i]!;
    }
    // The squared error is Σx² less this.
    if (ll > 0 && (lx * lx) / ll > best.gain) best = { scale: lx / ll, gain: (lx * lx) / ll };
  }
  return best.scale;
}

function symmetricLevels(
  values: Float32Array,
  from: number,
  d: number,
  scales: Int8Array,
): Symmetric & { readonly error: number } {
  const levels = new Int8Array(SIZE);
  let error = 0;
  for (let i = 0; i < SIZE; i++) {
    const step = d * scales[i >> 4]!;
    const x = values[from + i]!;
    const l = step === 0 ? 0 : within(x / step, -32, 31);
    levels[i] = l;
    error += (step * l - x) ** 2;
  }
  return { d, scales, levels, error };
}

/** The nearest integer from 0 to `top`: a truncation is several times as fast as Math.round. */
const level = (x: number, top: number): number => (x <= 0 ? 0 : x >= top ? top : (x + 0.5) | 0);
/** The nearest integer of a signed range. */
const within = (x: number, least: number, most: number): number => level(x - least, most - least) + least;
const inHalf = (x: number): number => halfToNumber(numberToHalf(x));

/** 12 bytes: those of groups 0–3 in the low six bits; of 4–7 the low nibbles behind them, the top two bits in theirs. */
function writeScalesAndMins(bytes: Uint8Array, at: number, scales: Uint8Array, mins: Uint8Array): void {
  for (let group = 0; group < 4; group++) {
    const [scale, min] = [scales[group + 4]!, mins[group + 4]!];
    bytes[at + group] = scales[group]! | ((scale >> 4) << 6);
    bytes[at + 4 + group] = mins[group]! | ((min >> 4) << 6);
    bytes[at + 8 + group] = (scale & 15) | ((min & 15) << 4);
  }
}

/** Two groups share 32 bytes: the even one has the low nibbles. */
function writeLowNibbles(bytes: Uint8Array, at: number, levels: Uint8Array): void {
  for (let i = 0; i < SIZE; i++)
    bytes[at + 32 * (i >> 6) + (i & 31)]! |= (levels[i]! & 15) << (4 * ((i >> 5) & 1));
}
