import type { Measuring } from '../models/site.js';
import { cast, equal, less, mul } from '../tensor/ops/elementwise.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import { concat, reshape } from '../tensor/ops/shape.js';
import { scalar } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AttentionShare } from './attentionShare.js';

/** Shares summed over the tokens of each task's rows, padding apart: [tasks, adapters]. */
export function sumsByTask(
  shares: Tensor,
  { segments, sourceSegments }: Measuring,
  rows: Tensor,
  count: number,
  ofSource: boolean,
): Tensor {
  const isText = cast(less(scalar(0, 'int32'), ofSource ? sourceSegments : segments), 'float32');
  const width = Number(shares.shape[2]);
  const sums = Array.from({ length: Math.max(1, count) }, (_, task) => {
    const counted = count === 0 ? isText : mul(isText, cast(equal(rows, scalar(task, 'int32')), 'float32'));
    return reshape(reduceSum(mul(shares, reshape(counted, [...rows.shape, 1])), [0, 1]), [1, width]);
  });
  return concat(sums, 0);
}

/** Mean shares per task out of sums [tasks, adapters]: those of a token sum to 1. A task without rows has none. */
export function sharesOf(
  path: string,
  sums: Float32Array,
  adapters: readonly string[],
  tasks: readonly string[],
): AttentionShare[] {
  return tasks.flatMap((task, at) => {
    const own = sums.subarray(at * adapters.length, (at + 1) * adapters.length);
    const tokens = own.reduce((sum, each) => sum + each, 0);
    if (tokens === 0) return [];
    return adapters.map((adapter, index) => ({ path, adapter, task, share: own[index]! / tokens }));
  });
}
