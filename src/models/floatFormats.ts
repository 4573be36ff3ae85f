/**
 * float32 to and from the 16-bit formats in which weights are stored: bfloat16 (8 exponent bits, float32's
 * upper half) and IEEE 754-2019 binary16 (5 exponent bits). Narrowing rounds to nearest, ties to even.
 */

/** binary16 rounds magnitudes to infinity from here on. */
export const F16_OVERFLOW = 65520;

/** Widens bfloat16 bit patterns; exact. */
export function bf16ToF32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Rounds float32 to bfloat16 bit patterns. A NaN stays a (quiet) NaN; what is too large becomes infinite. */
export function f32ToBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    // A NaN is set quiet first: rounding could carry its mantissa into an infinity.
    bits[i] =
      (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** Widens binary16 bit patterns; exact. */
export function f16ToF32(bits: Uint16Array): Float32Array {
  const table = (halfTable ??= makeHalfTable());
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = table[bits[i]!]!;
  return new Float32Array(words.buffer);
}

/** Widens one binary16 bit pattern: a look-up, for scales of blocks are many. */
export function halfToNumber(bits: number): number {
  return (halfValues ??= new Float32Array((halfTable ??= makeHalfTable()).buffer))[bits]!;
}

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Rounds float32 to binary16 bit patterns. A NaN stays a NaN; magnitudes from {@link F16_OVERFLOW} up become infinite. */
export function f32ToF16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) bits[i] = wordToHalf(words[i]!);
  return bits;
}

const oneValue = new Float32Array(1);
const oneWord = new Uint32Array(oneValue.buffer);

/** Rounds one number to a binary16 bit pattern, as {@link f32ToF16} does. */
export function numberToHalf(value: number): number {
  oneValue[0] = value;
  return wordToHalf(oneWord[0]!);
}

function wordToHalf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  const exponent = (magnitude >>> 23) - 112; // rebiased: float32 has 127, binary16 has 15
  if (exponent >= 0x1f) return sign | 0x7c00;
  if (exponent <= 0) {
    // Subnormal: the hidden one joins the fraction, and the shift grows by what the exponent lacks.
    if (exponent < -10) return sign;
    return sign | roundedShift((magnitude & 0x7fffff) | 0x800000, 14 - exponent);
  }
  // Rounding may carry into the exponent, up to infinity: that is the right result.
  return sign | roundedShift((exponent << 23) | (magnitude & 0x7fffff), 13);
}

/** value / 2^shift, to nearest, ties to even. */
function roundedShift(value: number, shift: number): number {
  const floor = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor;
}

let halfTable: Uint32Array | undefined;
let halfValues: Float32Array | undefined;

/** The float32 bits of all 65536 half values: a whole file is then one look-up per value. NaN payloads are kept. */
function makeHalfTable(): Uint32Array {
  const values = new Float32Array(65536);
  const words = new Uint32Array(values.buffer);
  for (let bits = 0; bits < 65536; bits++) {
    const isNan = (bits & 0x7fff) > 0x7c00;
    if (isNan) words[bits] = ((bits & 0x8000) << 16) | 0x7f800000 | ((bits & 0x3ff) << 13);
    else values[bits] = halfValue(bits);
  }
  return words;
}
