import type { Dim } from '../tensor/dims.js';
import { add, less, where } from '../tensor/ops/elementwise.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { reshape, transpose } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { constant, scalar } from '../tensor/tensor.js';
import type { Scope } from './scope.js';

/** How distances share the numbers that are added to the scores of attention. */
export interface RelativeBuckets {
  readonly count: number;
  /** From this distance on, all are in the last bucket. */
  readonly reach: number;
  /** Whether keys behind a query have buckets of their own; else they are in that of distance 0. */
  readonly bidirectional: boolean;
}

/**
 * The buckets of the distances −reach … reach, a distance being the key's place less the query's (Raffel et al. 2020,
 * section 2.1): the nearer half one for each distance, the further half growing logarithmically.
 */
export function bucketNumbers({ count, reach, bidirectional }: RelativeBuckets): Int32Array {
  const perSide = bidirectional ? Math.floor(count / 2) : count;
  const exact = Math.floor(perSide / 2);
  // In float32 as the reference has it: where a bucket ends is a matter of its rounding.
  const scale = Math.fround(Math.log(reach / exact));
  const further = (distance: number): number => {
    const share = Math.fround(Math.fround(Math.log(Math.fround(distance / exact))) / scale);
    return Math.min(exact + Math.trunc(Math.fround(share * (perSide - exact))), perSide - 1);
  };
  return Int32Array.from({ length: 2 * reach + 1 }, (_, at) => {
    const behind = at - reach;
    const distance = bidirectional ? Math.abs(behind) : Math.max(0, -behind);
    return (bidirectional && behind > 0 ? perSide : 0) + (distance < exact ? distance : further(distance));
  });
}

/** Numbers to add to the scores of attention for distances int32 [...shape]: [...shape, heads]. */
export type BiasOf = (distances: Tensor) => Tensor;

/**
 * The learned bias of a stack, looked up once for each distance within reach.
 * @param path of its embedding: [buckets, heads]
 */
export function relativeBias(scope: Scope, path: string, buckets: RelativeBuckets): BiasOf {
  const { reach } = buckets;
  const byDistance = scope.embedding(path, constant(bucketNumbers(buckets), [2 * reach + 1], 'int32'));
  const [nearest, furthest] = [scalar(-reach, 'int32'), scalar(reach, 'int32')];
  return (distances) => {
    const within = where(less(distances, nearest), nearest, where(less(furthest, distances), furthest, distances));
    return gatherRows(byDistance, add(within, reach));
  };
}

/** A bias [q, k, heads], or one for each row [batch, q, k, heads], as attention adds it: [batch or 1, heads, 1, q, k]. */
export function addedBias(bias: Tensor): Tensor {
  const batched = bias.shape.length === 4 ? bias : reshape(bias, [1, ...bias.shape]);
  const [batch, queries, keys, heads] = batched.shape as [Dim, Dim, Dim, number];
  return reshape(transpose(batched, [0, 3, 1, 2]), [batch, heads, 1, queries, keys]);
}
