import { fixedShape, shapeText } from '../dims.js';
import { constant } from '../tensor.js';
import type { Constant, DType, Tensor } from '../tensor.js';
import { matmul } from './matmul.js';
import { reshape, transpose } from './shape.js';

/** A factor has at most this many bits: products with 64 × 64 matrices keep a processor busy. */
const FACTOR_BITS = 6;

const matrices = new Map<string, Constant>();

/**
 * The rows of x [rows, 2ᵏ] times the Walsh–Hadamard matrix H (Sylvester's order, not normalized: H·H = 2ᵏ·I). H is a
 * Kronecker product of small ones, so that a product with each of them along an axis of its own does.
 * @returns [rows, 2ᵏ]
 */
export function hadamard(x: Tensor): Tensor {
  const [rows, length, ...others] = fixedShape(x.shape);
  const bits = Math.log2(length ?? 0);
  if (rows === undefined || length === undefined || others.length > 0 || !Number.isInteger(bits)) {
    throw new Error(`hadamard: needs [rows, a power of two], not ${shapeText(x.shape)}`);
  }
  // A product with the last axis, transposed, puts the axis in front: after all of them they lie as before, rows last.
  const turned = factorsOf(bits).reduce((sofar, factor) => {
    const size = 2 ** factor;
    return matmul(matrix(factor, x.dtype), reshape(sofar, [(rows * length) / size, size]), { transposeB: true });
  }, x);
  return rows === 1 ? reshape(turned, [1, length]) : transpose(reshape(turned, [length, rows]), [1, 0]);
}

/** Bits dealt out as evenly as it goes. */
function factorsOf(bits: number): number[] {
  const count = Math.ceil(bits / FACTOR_BITS);
  return Array.from({ length: count }, (_, at) => Math.floor((bits + at) / count));
}

function matrix(bits: number, dtype: DType): Constant {
  const key = `${dtype} ${bits}`;
  const size = 2 ** bits;
  const known =
    matrices.get(key) ??
    constant(
      Array.from({ length: size * size }, (_, at) => entry(Math.floor(at / size), at % size)),
      [size, size],
      dtype,
    );
  matrices.set(key, known);
  return known;
}

/** −1 where row and column have an odd number of ones in common. */
function entry(row: number, column: number): number {
  let [common, sign] = [row & column, 1];
  for (; common !== 0; common &= common - 1) sign = -sign;
  return sign;
}
