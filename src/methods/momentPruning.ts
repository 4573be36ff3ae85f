import type { Random } from '../common/random.js';
import { markLargest } from './largest.js';

/** Which of an optimizer's numbers become zero: a share of them, at random or those of smallest magnitude. */
export interface Pruning {
  readonly by: 'random' | 'magnitude';
  readonly share: number;
}

/**
 * A tensor's moments after pruning, as `random_pruning` and `magnitude_pruning` in the code of Lialin et al. (2023): at
 * random each stays with probability 1 − share; by magnitude those stay that are above the quantile of the share, as
 * `torch.quantile` takes it (of equal ones here the first stay, there none).
 */
export function pruned(moments: Float32Array, { by, share }: Pruning, random: Random): Float32Array {
  if (by === 'random') return moments.map((value) => (random.uniform() > share ? value : 0));
  // The quantile lies between two numbers, or on the lower of them: those from the next one on are above it.
  const kept = moments.length - 1 - Math.floor(share * (moments.length - 1));
  const [marks] = markLargest([moments], kept);
  return moments.map((value, at) => (marks![at] === 1 ? value : 0));
}
