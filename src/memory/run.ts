import type { OptimizerPlan } from './optimizers.js';
import type { ShardingPlan } from './sharding.js';
import type { Dtype, WeightStorage } from './storage.js';
import type { Trained } from './trained.js';

/** A run of Transformers on PyTorch, as the planner sees it: what of its settings decides memory. All counts are per device. */
export interface MemoryRun {
  /** How the base's weights lie in memory. */
  readonly weights: WeightStorage;
  /** The type that layers compute in. Wider weights mean autocast, which keeps copies in this type. */
  readonly compute: Dtype;
  readonly methods: readonly Trained[];
  /** Values that train in the course of the run, but rest while `methods` train: other layers than those drawn. */
  readonly resting?: number;
  /** The type of what methods add; float32 without, as PEFT casts it. */
  readonly adapterDtype?: Dtype;
  /** Rows of one forward and backward pass. */
  readonly batch: number;
  /** Tokens of a row; of an encoder-decoder those of the encoder. */
  readonly length: number;
  /** Tokens of a row of the decoder, in an encoder-decoder; without it `length`. */
  readonly targetLength?: number;
  /** Passes whose gradients are summed before a step. */
  readonly accumulation: number;
  readonly checkpointing: boolean;
  /** `eager` keeps the scores of every pair of positions. */
  readonly attention: 'eager' | 'sdpa' | 'flash';
  readonly optimizer: OptimizerPlan;
  readonly sharding?: ShardingPlan;
  /** Into how many chunks the loss is cut, so that float32 logits exist for one at a time; 1 without. */
  readonly lossChunks?: number;
  /** What the process takes on the device before a tensor is made, bytes; without it, what is usual. */
  readonly runtimeBytes?: number;
}
