import type { Site } from '../models/site.js';
import { sizeOf } from '../tensor/dims.js';
import type { Shape, Tensor, Variable } from '../tensor/tensor.js';
import { constant, variable } from '../tensor/tensor.js';
import { iota } from '../tensor/ops/dimValue.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import { rotary } from '../tensor/ops/rotary.js';
import { concat, expand, reshape, slice } from '../tensor/ops/shape.js';
import { recomputed } from '../tensor/recompute.js';
import type { Values } from './method.js';

/** How what a module reads becomes as wide as the matrix: sums of groups, or groups that are each turned. */
export type MoraType = 1 | 6;

/** The square matrix M of one linear module. */
export interface SquareMatrix {
  readonly site: Site;
  readonly type: MoraType;
  /** r̂ */
  readonly size: number;
  /** [r̂, r̂] */
  readonly m: Variable;
}

/** r̂ = ⌊√((in + out)·r) + ½⌋ (Jiang et al. 2024, section 4), made even where pairs of numbers are turned. */
export function squareSize([outSize, inSize]: readonly number[], r: number, type: MoraType): number {
  const size = Math.floor(Math.sqrt((inSize! + outSize!) * r) + 0.5);
  return type === 6 ? size - (size % 2) : size;
}

export function squareMatrix(site: Site, r: number, type: MoraType, instance: string): SquareMatrix {
  const size = squareSize(site.shape, r, type);
  return { site, type, size, m: variable(`${instance}${site.path}.lora_A`, [size, size]) };
}

/**
 * ΔW·x. x is cut into groups of r̂ numbers, the last one filled up from x's beginning, as in the authors' code.
 *
 * - Type 1, sharing (eq. 6): M times the sum of the groups, over and over until `out` numbers are filled.
 * - Type 6, rotation (eq. 9): group j is turned by the angles j·10000^(−2k/r̂), as RoPE turns queries, with pairs (k, k + r̂/2);
 *   M times each, one behind the other: cut off at `out` numbers, or repeated until there are so many. Where out < in the
 *   groups that are cut off have no effect, and are not computed.
 *
 * @param x [..., in]
 * @returns [..., out]
 */
export function squareOutput({ site, type, size, m }: SquareMatrix, x: Tensor): Tensor {
  const [outSize, inSize] = site.shape as [number, number];
  const leading = x.shape.slice(0, -1);
  if (type === 1) {
    const groups = Math.ceil(inSize / size);
    const grouped = reshape(repeated(x, groups * size), [...leading, groups, size]);
    return repeated(matmul(reduceSum(grouped, [-2]), m, { transposeB: true }), outSize);
  }
  const groups = usedGroups(size, inSize, outSize);
  const turned = recomputed(turnedGroups(repeated(x, groups * size), groups, size), [x]);
  const flat = reshape(matmul(turned, m, { transposeB: true }), [...leading, groups * size]);
  return repeated(flat, outSize);
}

/** Groups of type 6 that have an effect. */
function usedGroups(size: number, inSize: number, outSize: number): number {
  return Math.min(Math.ceil(inSize / size), Math.ceil(outSize / size));
}

/** [first of the leading axes, the others, groups, size] */
function turnedGroups(x: Tensor, groups: number, size: number): Tensor {
  const [batch, ...others] = x.shape.slice(0, -1) as [Shape[number], ...Shape];
  const positions = expand(reshape(iota(groups), [1, groups]), [batch, groups]);
  const { cos, sin } = turns(groups, size);
  const shape = [groups, size / 2];
  const grouped = reshape(x, [batch, sizeOf(others), groups, size]);
  return rotary(grouped, positions, constant(cos, shape), constant(sin, shape));
}

/** cos and sin of j·10000^(−2k/size) for group j and pair k, row-major. */
function turns(groups: number, size: number): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = size / 2;
  const angle = (at: number): number => Math.floor(at / half) * 10000 ** ((-2 * (at % half)) / size);
  const of = (f: (angle: number) => number): Float32Array =>
    Float32Array.from({ length: groups * half }, (_, at) => f(angle(at)));
  return { cos: of(Math.cos), sin: of(Math.sin) };
}

/** The first `size` numbers of x, x, … along the last axis. */
function repeated(x: Tensor, size: number): Tensor {
  const leading = x.shape.slice(0, -1);
  const width = x.shape.at(-1) as number;
  if (size <= width) return slice(x, -1, 0, size);
  const [times, rest] = [Math.floor(size / width), size % width];
  const whole =
    times === 1
      ? x
      : reshape(expand(reshape(x, [...leading, 1, width]), [...leading, times, width]), [
          ...leading,
          times * width,
        ]);
  return rest === 0 ? whole : concat([whole, slice(x, -1, 0, rest)], -1);
}

/** W + ΔW for the site's base weight W, as the checkpoint holds it. Sums are taken in double precision. */
export function mergeSquare(square: SquareMatrix, base: Float32Array, values: Values): Float32Array {
  const { site } = square;
  const [outSize, inSize] = site.shape as [number, number];
  const rows = updateRows(square, values);
  const merged = new Float32Array(base.length);
  for (let i = 0; i < outSize; i++) {
    const row = rows.at(i);
    for (let j = 0; j < inSize; j++) {
      const place = site.layout === 'in-out' ? j * outSize + i : i * inSize + j;
      merged[place] = base[place]! + row[j]!;
    }
  }
  return merged;
}

/** ‖ΔW‖_F: rows come again and again, and each is looked at once. */
export function squareNorm(square: SquareMatrix, values: Values): number {
  const [outSize] = square.site.shape as [number, number];
  const rows = updateRows(square, values);
  let sum = 0;
  for (let i = 0; i < Math.min(rows.period, outSize); i++) {
    const times = Math.ceil((outSize - i) / rows.period);
    sum += times * rows.at(i).reduce((total, value) => total + value * value, 0);
  }
  return Math.sqrt(sum);
}

/** The rows of ΔW [out, in], after so many the same again. A row is overwritten by the next. */
interface UpdateRows {
  readonly period: number;
  at(i: number): Float64Array;
}

function updateRows({ site, type, size, m }: SquareMatrix, values: Values): UpdateRows {
  const [outSize, inSize] = site.shape as [number, number];
  const matrix = values.get(m.name)!;
  const row = new Float64Array(inSize);
  if (type === 1) {
    const read = Math.ceil(inSize / size) * size;
    return {
      period: size,
      at(i) {
        row.fill(0);
        for (let j = 0; j < read; j++) row[j % inSize]! += matrix[(i % size) * size + (j % size)]!;
        return row;
      },
    };
  }
  const groups = usedGroups(size, inSize, outSize);
  const { cos, sin } = turns(groups, size);
  const [period, half] = [groups * size, size / 2];
  return {
    period,
    at(i) {
      row.fill(0);
      const [group, own] = [Math.floor((i % period) / size), (i % size) * size];
      for (let k = 0; k < half; k++) {
        const [c, s] = [cos[group * half + k]!, sin[group * half + k]!];
        const [first, second] = [matrix[own + k]!, matrix[own + k + half]!];
        row[(group * size + k) % inSize]! += first * c + second * s;
        row[(group * size + k + half) % inSize]! += second * c - first * s;
      }
      return row;
    },
  };
}
