/** What several devices share among them. */
import { moduleCount, sum } from './modelShape.js';
import type { ModelShape } from './modelShape.js';

/**
 * - `data-parallel`: every device holds everything, and PyTorch's DDP a copy of the gradients in its buckets.
 * - `zero-1` to `zero-3` (Rajbhandari et al. 2020, section 5): the optimizer, then gradients, then weights are split.
 * - `fsdp`: as ZeRO 3.
 */
export interface ShardingPlan {
  readonly kind: 'data-parallel' | 'zero-1' | 'zero-2' | 'zero-3' | 'fsdp';
  readonly devices: number;
}

export interface Shares {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
}

/** By how much each part is divided. */
export function sharesOf(sharding: ShardingPlan | undefined): Shares {
  const { kind, devices } = sharding ?? { kind: 'data-parallel', devices: 1 };
  const whole = kind === 'zero-3' || kind === 'fsdp';
  return {
    weights: whole ? devices : 1,
    gradients: whole || kind === 'zero-2' ? devices : 1,
    optimizer: kind === 'data-parallel' ? 1 : devices,
  };
}

/** The values of the largest layer: what split weights are gathered into, twice, as the next is fetched ahead. */
export function largestLayer(shape: ModelShape): number {
  const layers = shape.blocks.map(({ modules }) => sum(modules, moduleCount));
  return [...layers, ...shape.outside.map(moduleCount)].reduce((most, values) => Math.max(most, values), 0);
}
