import { addLowRank, transposed } from '../linalg/products.js';
import type { Site } from '../models/site.js';
import { add } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import { lowRankOutput, lowRankPair, mergePair, pairNorm, pairValues, stacked } from './lowRankPair.js';
import type { Dropped, LowRankPair, PairValues } from './lowRankPair.js';
import type { Trainable, Values } from './method.js';

/**
 * What LoRAs before the present one taught a module. They are merged without touching the base's file, which is mapped and
 * may be quantized: their sum lies beside the weight, as factors next to each other, [B₁ … Bₖ] and [A₁; …; Aₖ], or
 * as one matrix [out, in] where that is no larger.
 */
export type Merged =
  { readonly kind: 'factors'; readonly pair: LowRankPair } | { readonly kind: 'dense'; readonly sum: Variable };

/**
 * The form of what was merged beside a pair.
 * @param merges how many of its kind and rank; undefined for none
 * @param instance what the names of variables start with
 */
export function mergedBeside(
  { site, r, scale }: LowRankPair,
  merges: number,
  instance: string,
): Merged | undefined {
  if (merges === 0) return undefined;
  const name = `${instance}merged.`;
  const [rows, columns] = site.shape as [number, number];
  const rank = merges * r;
  return isDense(site, rank)
    ? { kind: 'dense', sum: variable(`${name}${site.path}`, [rows, columns]) }
    : { kind: 'factors', pair: lowRankPair(site, rank, scale, name) };
}

/** An embedding reads single columns of A: as one matrix it would be as large as its vocabulary. */
function isDense({ kind, shape }: Site, rank: number): boolean {
  const [rows, columns] = shape as [number, number];
  return kind === 'linear' && rank * (rows + columns) >= rows * columns;
}

/** Numbers of a module's A and B on disk, after so many merges. */
export function savedSize({ site, r }: LowRankPair, merges: number): number {
  const [rows, columns] = site.shape as [number, number];
  const rank = isDense(site, merges * r) ? Math.min(rows, columns) : (merges + 1) * r;
  return rank * (rows + columns);
}

/** The tensors of it, which rest: a turn gives them their numbers. */
export function mergedTensors(merged: Merged): Trainable[] {
  const variables = merged.kind === 'dense' ? [merged.sum] : [merged.pair.a, merged.pair.b];
  return variables.map((each) => ({
    variable: each,
    start: () => Promise.reject(new Error(`${each.name} starts from what was merged`)),
    decays: false,
    readAtRest: true,
  }));
}

/** y + M·x. Like the weight, it reads x without dropout. */
export function mergedOutput(merged: Merged, x: Tensor, y: Tensor, random: Dropped['random']): Tensor {
  return merged.kind === 'dense'
    ? add(y, matmul(x, merged.sum, { transposeB: true }))
    : lowRankOutput(merged.pair, x, y, { rate: 0, seed: undefined, random });
}

/** Everything that a module has learned: ΔW = s·B·A, or ΔW [out, in] itself. */
export type WholeUpdate =
  ({ readonly kind: 'factors' } & PairValues) | { readonly kind: 'dense'; readonly sum: Float32Array };

/** What was merged, and the present pair with it. Sums are rounded to float32 once. */
export function wholeUpdate(pair: LowRankPair, merged: Merged | undefined, values: Values): WholeUpdate {
  const now = pairValues(pair, values);
  if (merged === undefined) return { kind: 'factors', ...now };
  if (merged.kind === 'factors') return { kind: 'factors', ...stacked(pairValues(merged.pair, values), now) };
  return {
    kind: 'dense',
    sum: addLowRank(values.get(merged.sum.name)!, now.b, now.a, pair.scale, pair.site.shape[0]!, pair.r),
  };
}

/** A whole update as the numbers of what is merged from then on. */
export function mergedNumbers(
  update: WholeUpdate,
  next: Merged,
  { site, scale }: LowRankPair,
): [name: string, numbers: Float32Array][] {
  if (next.kind === 'dense') {
    const zeros = new Float32Array(site.shape[0]! * site.shape[1]!);
    return [
      [
        next.sum.name,
        update.kind === 'dense'
          ? update.sum
          : addLowRank(zeros, update.b, update.a, scale, site.shape[0]!, update.r),
      ],
    ];
  }
  if (update.kind === 'dense') throw new Error('what was merged as one matrix stays one');
  return [
    [next.pair.a.name, update.a],
    [next.pair.b.name, update.b],
  ];
}

/** As a plain LoRA has it, ΔW = scale·B·A; of ΔW itself one of the two factors is the identity, so that nothing is rounded. */
export function updateAsPair(
  update: WholeUpdate,
  { site, scale }: LowRankPair,
): PairValues & { readonly scale: number } {
  if (update.kind === 'factors') return { ...update, scale };
  const [rows, columns] = site.shape as [number, number];
  return columns <= rows
    ? { r: columns, a: identity(columns), b: update.sum, scale: 1 }
    : { r: rows, a: update.sum, b: identity(rows), scale: 1 };
}

function identity(size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let at = 0; at < size; at++) matrix[at * size + at] = 1;
  return matrix;
}

/** W + ΔW for a site's base weight W, as the checkpoint holds it. */
export function mergeUpdate(update: WholeUpdate, pair: LowRankPair, base: Float32Array): Float32Array {
  if (update.kind === 'factors') {
    const [factors, values] = named(update, pair);
    return mergePair(factors, base, values);
  }
  const { site } = pair;
  const sum = site.layout === 'in-out' ? transposed(update.sum, site.shape[0]!, site.shape[1]!) : update.sum;
  return base.map((value, at) => value + sum[at]!);
}

/** ‖ΔW‖_F */
export function updateNorm(update: WholeUpdate, pair: LowRankPair): number {
  if (update.kind === 'factors') return pairNorm(...named(update, pair));
  return Math.sqrt(update.sum.reduce((sum, value) => sum + value * value, 0));
}

/** Factors under the names of a pair of their rank. */
function named({ a, b, r }: PairValues, { site, scale }: LowRankPair): [LowRankPair, Values] {
  const pair = lowRankPair(site, r, scale, '');
  return [
    pair,
    new Map([
      [pair.a.name, a],
      [pair.b.name, b],
    ]),
  ];
}
