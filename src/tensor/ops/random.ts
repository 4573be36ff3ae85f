import { shapeText, sizeOf } from '../dims.js';
import { scalar } from '../tensor.js';
import type { Shape, Tensor } from '../tensor.js';
import { bitwiseOr, bitwiseXor, shiftRight } from './bits.js';
import { iota } from './dimValue.js';
import { cast, greaterOrEqual, mul, sub } from './elementwise.js';
import { reshape } from './shape.js';

/**
 * The integer hash `lowbias32` (C. Wellons, hash-prospector, 2018; public domain): two rounds of
 * xor-shift-multiply whose avalanche bias was minimized over all constants.
 */
const MIX = { shifts: [16, 15, 16], factors: [0x7feb352d, 0x846ca68b] } as const;

/** Told apart by these, the hashes of one position as row, as row's multiplier and as column. Any numbers do. */
const ROLES = { row: 0x9e3779b9, multiplier: 0x7f4a7c15, column: 0xf39cc060 } as const;

/**
 * Uniform random numbers in [0, 1) as a pure function of seed, stream and position, so that a run that is
 * resumed or repeated draws them again; ONNX's own random ops keep a state that cannot be saved.
 *
 * Positions are hashed per row (all axes but the last) and per column (the last), not per element, which
 * leaves two integer ops for each element: u = ((R_row xor C_column) · M_row mod 2³²) / 2³², M odd, in steps
 * of 2⁻²⁴. That is multiply-shift hashing (Dietzfelbinger, Hagerup, Katajainen & Penttonen 1997) of hashed
 * keys with one random multiplier per row. A long vector has one row, so it costs a whole hash per element.
 * The hash's first round knows the seed, its second the stream, so that all streams of a graph share the first.
 *
 * @param shape of the result, float32
 * @param seed one int32 or uint32, [] or [1], fed anew for each step
 * @param stream 32 bits that name the place of use: the hash of a site's name
 */
export function randomUniform(shape: Shape, seed: Tensor, stream: number): Tensor {
  // 24 bits are what a float32 in [0, 1) holds exactly.
  return mul(cast(shiftRight(randomWords(shape, seed, stream), 8), 'float32'), 2 ** -24);
}

/** −1 or 1, each as likely, float32; seed and stream as in {@link randomUniform}. */
export function randomSigns(shape: Shape, seed: Tensor, stream: number): Tensor {
  return sub(mul(cast(shiftRight(randomWords(shape, seed, stream), 31), 'float32'), 2), 1);
}

/**
 * Zeroes each element with probability `rate` and divides the others by 1 − rate (Srivastava et al. 2014, in
 * the inverted form). Gradient flows through the kept ones. Seed and stream as in {@link randomUniform}.
 *
 * @param rate in [0, 1)
 */
export function dropout(x: Tensor, rate: number, seed: Tensor, stream: number): Tensor {
  return mul(dropWithoutScale(x, rate, seed, stream), 1 / (1 - rate));
}

/** {@link dropout} that leaves the division by 1 − rate to a product that follows. */
export function dropWithoutScale(x: Tensor, rate: number, seed: Tensor, stream: number): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new Error(`dropout: the rate is at least 0 and below 1, not ${rate}`);
  if (rate === 0) return x;
  const words = cast(randomWords(x.shape, seed, stream), 'float32');
  // A product with zeros and ones: ONNX Runtime's `Where` takes several times as long.
  return mul(x, cast(greaterOrEqual(words, rate * 2 ** 32), x.dtype));
}

/** 32 random bits for each element, of which the upper ones are the better. */
function randomWords(shape: Shape, seed: Tensor, stream: number): Tensor {
  const one = seed.shape.length === 0 || (seed.shape.length === 1 && seed.shape[0] === 1);
  if (!one || (seed.dtype !== 'int32' && seed.dtype !== 'uint32')) {
    throw new Error(`randomUniform: the seed is one int32 or uint32, not ${seed.dtype} ${shapeText(seed.shape)}`);
  }
  const word = reshape(cast(seed, 'uint32'), []);
  const hashed = (positions: Tensor, role: number): Tensor => {
    const key = secondRound(firstRound(bitwiseXor(word, word32(role))));
    const own = word32(mixed(stream ^ role));
    return secondRound(bitwiseXor(firstRound(bitwiseXor(positions, key)), own));
  };
  const leading = shape.slice(0, -1);
  const rows = reshape(cast(iota(sizeOf(leading)), 'uint32'), shape.length === 0 ? [] : [...leading, 1]);
  const columns = shape.length === 0 ? word32(0) : cast(iota(shape.at(-1)!), 'uint32');
  const odd = bitwiseOr(hashed(rows, ROLES.multiplier), word32(1));
  return mul(bitwiseXor(hashed(rows, ROLES.row), hashed(columns, ROLES.column)), odd);
}

function firstRound(words: Tensor): Tensor {
  const [first, second] = MIX.shifts;
  return folded(mul(folded(words, first), word32(MIX.factors[0])), second);
}

function secondRound(words: Tensor): Tensor {
  return folded(mul(words, word32(MIX.factors[1])), MIX.shifts[2]);
}

function folded(words: Tensor, by: number): Tensor {
  return bitwiseXor(words, shiftRight(words, by));
}

function word32(value: number): Tensor {
  return scalar(value >>> 0, 'uint32');
}

/** {@link MIX} now, of one 32-bit word. */
function mixed(word: number): number {
  const [first, second, third] = MIX.shifts;
  let x = Math.imul(word ^ (word >>> first), MIX.factors[0]);
  x = Math.imul(x ^ (x >>> second), MIX.factors[1]);
  return (x ^ (x >>> third)) >>> 0;
}
