import { after } from '../tensor/ops/after.js';
import { bitwiseXor, shiftRight } from '../tensor/ops/bits.js';
import { cast, div, mul, sqrt, sub } from '../tensor/ops/elementwise.js';
import { hadamard } from '../tensor/ops/hadamard.js';
import { gatherRows, scatterAddRows } from '../tensor/ops/indexing.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import { pad, reshape, slice } from '../tensor/ops/shape.js';
import { withGradient } from '../tensor/ops/withGradient.js';
import { constant, scalar } from '../tensor/tensor.js';
import type { Constant, Tensor } from '../tensor/tensor.js';
import { NORMAL_BITS, normals as normalNumbers } from './fastfoodNumbers.js';
import type { Fastfood, Words } from './fastfoodNumbers.js';

let table: Constant | undefined;

/** One tensor for all graphs. */
function quantiles(): Constant {
  const numbers = normalNumbers();
  return (table ??= constant(numbers, [numbers.length]));
}

/**
 * P z in the graph (see {@link Fastfood}). The random numbers are drawn anew wherever they are needed, also for the
 * gradient, which is Pᵀg exactly: nothing of the tensor's size is kept.
 * @param z [inputs]
 * @returns [size]
 */
export function project(transform: Fastfood, z: Tensor): Tensor {
  return withGradient(forward(transform, z), z, (g) => projectBack(transform, g));
}

/** Pᵀ g. @param g [size] @returns [inputs] */
function projectBack(transform: Fastfood, g: Tensor): Tensor {
  return withGradient(backward(transform, g), g, (h) => project(transform, h));
}

function forward(transform: Fastfood, z: Tensor): Tensor {
  const { size, inputs, length, blocks, width } = transform;
  const padded = reshape(pad(z, 0, 0, blocks * width - inputs), [blocks, width]);
  const table = hadamard(mul(padded, signs(transform, z)));
  const normals = normalsOf(transform, z);
  const scaled = reshape(mul(table, scales(transform, normals)), [blocks * width]);
  const spread = mul(normals, gatherRows(scaled, placesOf(transform, z)));
  const sum = blocks === 1 ? spread : reduceSum(spread, [0], true);
  return slice(reshape(hadamard(sum), [length]), 0, 0, size);
}

function backward(transform: Fastfood, g: Tensor): Tensor {
  const { size, inputs, length, blocks, width } = transform;
  const spread = hadamard(reshape(pad(g, 0, 0, length - size), [1, length]));
  const normals = normalsOf(transform, g);
  const gathered = scatterAddRows(mul(normals, spread), placesOf(transform, g), blocks * width);
  const table = mul(reshape(gathered, [blocks, width]), scales(transform, normals));
  return slice(reshape(mul(hadamard(table), signs(transform, g)), [blocks * width]), 0, 0, inputs);
}

/** Random words as [blocks, …]; not drawn before `earlier` is there. */
function wordsOf({ rows, multipliers, columns }: Words, blocks: number, earlier: Tensor): Tensor {
  const mixed = bitwiseXor(
    after(constant(rows, [rows.length, 1], 'uint32'), earlier),
    constant(columns, [1, columns.length], 'uint32'),
  );
  const words = mul(mixed, constant(multipliers, [multipliers.length, 1], 'uint32'));
  return reshape(words, [blocks, (rows.length / blocks) * columns.length]);
}

/** ±1: [blocks, width] */
function signs({ signs: words, blocks }: Fastfood, earlier: Tensor): Tensor {
  const bits = cast(shiftRight(wordsOf(words, blocks, earlier), 31), earlier.dtype);
  return sub(1, mul(bits, 2));
}

/** G: [blocks, length] */
function normalsOf({ normals, blocks }: Fastfood, earlier: Tensor): Tensor {
  const chosen = cast(shiftRight(wordsOf(normals, blocks, earlier), 32 - NORMAL_BITS), 'int32');
  return cast(gatherRows(quantiles(), chosen), earlier.dtype);
}

/** 1 / √(size · ΣG²): [blocks, 1] */
function scales({ size, blocks, length }: Fastfood, normals: Tensor): Tensor {
  const rows = reshape(normals, [blocks, 1, length]);
  const squares = reshape(matmul(rows, rows, { transposeB: true }), [blocks, 1]);
  return div(scalar(1 / Math.sqrt(size), normals.dtype), sqrt(squares));
}

/** Where Π reads in the blocks' tables: int32 [blocks, length] */
function placesOf({ places: { rows, columns }, blocks, length }: Fastfood, earlier: Tensor): Tensor {
  const perRow = after(constant(rows, [blocks, rows.length / blocks, 1], 'int32'), earlier);
  const perColumn = constant(columns, [blocks, 1, columns.length / blocks], 'int32');
  return reshape(bitwiseXor(perRow, perColumn), [blocks, length]);
}
