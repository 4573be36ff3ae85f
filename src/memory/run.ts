import type { OptimizerPlan } from './optimizers.js';
import type { ShardingPlan } from './sharding.js';
import type { Dtype, WeightStorage } from './storage.js';
import type { Trained } from './trained.js';

/** A run as the planner sees it: what of its settings decides memory. All counts are per device. */
export interface MemoryRun {
  /** What computes: Transformers on PyTorch, or PEFT Studio's own engine on ONNX Runtime. */
  readonly engine: 'pytorch' | 'embedded';
  /** How the base's weights lie in memory. The embedded engine maps them as float32, whatever the file has. */
  readonly weights: WeightStorage;
  /** The type that layers compute in. Wider weights mean autocast, which keeps copies in this type. */
  readonly compute: Dtype;
  readonly methods: readonly Trained[];
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
  /** Share of positions whose logits are computed, 0 to 1: the embedded engine computes supervised ones only. */
  readonly supervisedShare?: number;
  /** What the process takes before a tensor is made, bytes; without it, what is usual for the engine. */
  readonly runtimeBytes?: number;
}
