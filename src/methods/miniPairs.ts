import { addLowRank, lowRankNorm } from '../linalg/products.js';
import type { Site } from '../models/site.js';
import { sizeOf } from '../tensor/dims.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reshape, transpose } from '../tensor/ops/shape.js';
import { variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import type { PairValues } from './lowRankPair.js';
import type { Values } from './method.js';

/** n mini pairs of one linear module, each between a slice of what it reads and a slice of what it gives. */
export interface MiniPairs {
  readonly site: Site;
  readonly n: number;
  /** Of each. */
  readonly r: number;
  /** s in ΔW = s·diag(B₁·A₁, …, Bₙ·Aₙ) */
  readonly scale: number;
  /** [n, r, in / n] */
  readonly a: Variable;
  /** [n, out / n, r] */
  readonly b: Variable;
}

/** @param n divides in and out */
export function miniPairs(site: Site, n: number, r: number, scale: number, instance: string): MiniPairs {
  const [outSize, inSize] = site.shape as [number, number];
  const name = `${instance}${site.path}.lora_`;
  return {
    site,
    n,
    r,
    scale,
    a: variable(`${name}A`, [n, r, inSize / n]),
    b: variable(`${name}B`, [n, outSize / n, r]),
  };
}

/**
 * s·diag(B₁·A₁, …)·x as two batched products over the slices, with the slices in front: as fast as a product with the whole
 * block-diagonal matrices where there are few, and up to three times as fast where there are many (bench/blockProducts.ts).
 * @param x [..., in]
 * @param factor on s
 * @returns [..., out]
 */
export function miniOutput({ site, n, a, b, scale }: MiniPairs, x: Tensor, factor: number): Tensor {
  const [outSize, inSize] = site.shape as [number, number];
  const leading = x.shape.slice(0, -1);
  const slices = transpose(reshape(x, [sizeOf(leading), n, inSize / n]), [1, 0, 2]);
  const down = matmul(slices, a, { transposeB: true });
  const y = matmul(down, b, { transposeB: true, alpha: scale * factor });
  return reshape(transpose(y, [1, 0, 2]), [...leading, outSize]);
}

/** Numbers of each mini pair: A [r, in / n] and B [out / n, r]. */
export function miniValues({ n, r, a, b }: MiniPairs, values: Values): PairValues[] {
  const part = (from: Float32Array, at: number): Float32Array =>
    from.subarray((at * from.length) / n, ((at + 1) * from.length) / n);
  const [ofA, ofB] = [values.get(a.name)!, values.get(b.name)!];
  return Array.from({ length: n }, (_, at) => ({ r, a: part(ofA, at), b: part(ofB, at) }));
}

/** ‖ΔW‖_F: blocks that share no place add up by their squares. */
export function miniNorm(pairs: MiniPairs, values: Values): number {
  return pairs.scale * Math.hypot(...miniValues(pairs, values).map(({ a, b, r }) => lowRankNorm(b, a, r)));
}

/** W + ΔW for the site's base weight W, as the checkpoint holds it: a Conv1D's [in, out] gets Aᵀ·Bᵀ. */
export function mergeMini(pairs: MiniPairs, base: Float32Array, values: Values): Float32Array {
  const { site, n, scale } = pairs;
  const [outSize, inSize] = site.shape as [number, number];
  const [rows, columns] = [outSize / n, inSize / n];
  const swapped = site.layout === 'in-out';
  const merged = Float32Array.from(base);
  for (const [at, { a, b, r }] of miniValues(pairs, values).entries()) {
    const place = (i: number, j: number): number => {
      const [row, column] = [at * rows + i, at * columns + j];
      return swapped ? column * outSize + row : row * inSize + column;
    };
    const block = new Float32Array(rows * columns);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) block[i * columns + j] = base[place(i, j)]!;
    const sum = addLowRank(block, b, a, scale, rows, r);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) merged[place(i, j)] = sum[i * columns + j]!;
  }
  return merged;
}

/** The block-diagonal A [n·r, in] and B [out, n·r] of a plain LoRA with the same ΔW: n times as large. */
export function blockDiagonal(minis: readonly PairValues[]): PairValues {
  const n = minis.length;
  const { r: size, a: firstA, b: firstB } = minis[0]!;
  const [columns, rows, r] = [firstA.length / size, firstB.length / size, n * size];
  const a = new Float32Array(n * columns * r);
  const b = new Float32Array(n * rows * r);
  for (const [at, mini] of minis.entries()) {
    for (let k = 0; k < size; k++) {
      a.set(mini.a.subarray(k * columns, (k + 1) * columns), (at * size + k) * n * columns + at * columns);
    }
    for (let i = 0; i < rows; i++) {
      b.set(mini.b.subarray(i * size, (i + 1) * size), (at * rows + i) * r + at * size);
    }
  }
  return { r, a, b };
}
