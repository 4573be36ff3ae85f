import { singularTriplets, singularVectors } from '../linalg/svd.js';
import { matmul } from '../tensor/ops/matmul.js';
import type { Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import type { SlotRule, StateTensor, Values, WeightWork } from './method.js';

/** From which sides a gradient [m, n] is projected: `std` from the shorter one, `reverse_std` from the longer one. */
export type ProjectionType = 'std' | 'reverse_std' | 'left' | 'right' | 'full';

/** The subspace in which a matrix's optimizer lives. */
export interface Projection {
  /** Of a matrix with fewer rows or columns than that their number. */
  readonly rank: number;
  readonly rule: SlotRule;
  /** Its bases, orthonormal columns: left [m, r], right [n, r] or both. */
  readonly state: readonly StateTensor[];
  /** New bases: the singular vectors of a gradient's largest singular values, exact. @param gradient [m, n] */
  refreshed(gradient: Float32Array, work: WeightWork): Promise<Values>;
  /**
   * How much of the new subspaces lies within the old ones, ‖oldᵀ·new‖² / r, the mean over both sides: 1 where they are the
   * same. Undefined where there are no old ones.
   */
  overlap(old: Values, found: Values, work: WeightWork): Promise<number | undefined>;
}

type Side = 'left' | 'right';

/**
 * How a gradient G [m, n] gets into its subspace and an update N out of it (Zhao et al. 2024, eq. 4 and algorithm 2): left
 * Uᵀ·G and α·U·N, right G·V and α·N·Vᵀ, both Uᵀ·G·V and α·U·N·Vᵀ.
 *
 * @param trained the matrix, [m, n]
 * @param options.scale α
 */
export function projectionOf(
  trained: Variable,
  options: { readonly rank: number; readonly scale: number; readonly proj_type: ProjectionType },
): Projection {
  const [rows, columns] = trained.shape as readonly [number, number];
  const rank = Math.min(options.rank, rows, columns);
  const sides = sidesOf(options.proj_type, rows, columns);
  const basis = (side: Side, length: number): Variable | undefined =>
    sides.includes(side) ? variable(`${trained.name}/${side}`, [length, rank]) : undefined;
  const left = basis('left', rows);
  const right = basis('right', columns);
  const bases = [left, right].filter((each) => each !== undefined);
  return {
    rank,
    rule: {
      shape: [left === undefined ? rows : rank, right === undefined ? columns : rank],
      project(gradient) {
        const reduced = left === undefined ? gradient : matmul(left, gradient, { transposeA: true });
        return right === undefined ? reduced : matmul(reduced, right);
      },
      projectBack(update) {
        const scaled = { alpha: options.scale };
        if (left === undefined) return matmul(update, right!, { transposeB: true, ...scaled });
        const raised = matmul(left, update, scaled);
        return right === undefined ? raised : matmul(raised, right, { transposeB: true });
      },
    },
    state: bases.map((each) => ({ variable: each })),
    async refreshed(gradient, work) {
      const products = work.products(Float64Array.from(gradient), rows, columns);
      if (left !== undefined && right !== undefined) {
        const { u, v } = await singularTriplets(products, rank, 'largest');
        return new Map([
          [left.name, signed(u, rank)],
          [right.name, signed(v, rank)],
        ]);
      }
      const vectors = await singularVectors(products, rank, left === undefined ? 'right' : 'left');
      return new Map([[bases[0]!.name, signed(vectors, rank)]]);
    },
    async overlap(old, found, work) {
      let sum = 0;
      for (const { name } of bases) {
        const before = old.get(name)!;
        if (before.every((value) => value === 0)) return undefined;
        const products = work.products(Float64Array.from(before), before.length / rank, rank);
        const cosines = await products.transposedTimes(Float64Array.from(found.get(name)!));
        sum += cosines.reduce((squares, value) => squares + value * value, 0) / rank;
      }
      return sum / bases.length;
    },
  };
}

/**
 * Columns [length, count], each with the sign that makes its largest number positive. Any would do within a subspace; moments
 * are carried over to the next one, so that a run should not depend on what the arithmetic happens to give.
 */
function signed(vectors: Float64Array, count: number): Float32Array {
  const largest = new Float64Array(count);
  vectors.forEach((value, at) => {
    if (Math.abs(value) > Math.abs(largest[at % count]!)) largest[at % count] = value;
  });
  return Float32Array.from(vectors, (value, at) => (largest[at % count]! < 0 ? -value : value));
}

function sidesOf(type: ProjectionType, rows: number, columns: number): readonly Side[] {
  switch (type) {
    case 'std':
      return [rows >= columns ? 'right' : 'left'];
    case 'reverse_std':
      return [rows >= columns ? 'left' : 'right'];
    case 'full':
      return ['left', 'right'];
    default:
      return [type];
  }
}
