import * as l10n from '@vscode/l10n';
import type { RunConfig } from '../config/schema.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import type { ModelShape } from '../memory/modelShape.js';
import type { OptimizerPlan } from '../memory/optimizers.js';
import type { MemoryRun } from '../memory/run.js';
import type { ShardingPlan } from '../memory/sharding.js';
import type { Dtype, Quantization } from '../memory/storage.js';
import { plannedMethods } from './planned/plannedMethods.js';

/** PyTorch's names of the types that weights are loaded in. */
export const TORCH_DTYPES = { float32: 'fp32', bfloat16: 'bf16', float16: 'fp16' } as const satisfies Record<
  string,
  Dtype
>;
export type TorchDtype = keyof typeof TORCH_DTYPES;

/** How bitsandbytes packs the base's matrices. */
export const QUANTIZATIONS = {
  nf4: { kind: 'nf4', doubleQuantization: false },
  'nf4-double': { kind: 'nf4', doubleQuantization: true },
  int8: { kind: 'int8' },
} as const satisfies Record<string, Quantization>;

/** `optim` of Transformers' `TrainingArguments`. */
export const TORCH_OPTIMIZERS = {
  adamw_torch_fused: { kind: 'adamw', implementation: 'fused' },
  adamw_torch: { kind: 'adamw', implementation: 'foreach' },
  adamw_8bit: { kind: 'adamw-8bit' },
  adafactor: { kind: 'adafactor' },
  sgd: { kind: 'sgd' },
} as const satisfies Record<string, OptimizerPlan>;

export const ATTENTIONS = ['eager', 'sdpa', 'flash'] as const satisfies readonly MemoryRun['attention'][];

export const SHARDINGS = [
  'data-parallel',
  'zero-1',
  'zero-2',
  'zero-3',
  'fsdp',
] as const satisfies readonly ShardingPlan['kind'][];

/** What a run on Transformers has beside the run file. */
export interface TorchOptions {
  readonly dtype: TorchDtype;
  readonly quantization?: keyof typeof QUANTIZATIONS;
  readonly checkpointing?: boolean;
  readonly attention?: MemoryRun['attention'];
  /** Without it, the run file's. */
  readonly optim?: keyof typeof TORCH_OPTIMIZERS;
  readonly sharding?: ShardingPlan;
}

/** A run as the planner of PyTorch takes it. */
export interface PlannedRun {
  readonly shape: ModelShape;
  readonly run: MemoryRun;
  /** What was taken for granted, and what Transformers and PEFT do otherwise; sentences. */
  readonly notes: readonly string[];
}

/**
 * A run file on Transformers and PEFT, in the planner's terms.
 * @throws ProblemError `targets.*` where a method matches nothing of the model
 */
export function plannedRun(shape: ModelShape, config: RunConfig, options: TorchOptions): PlannedRun {
  const { training, data, method } = config;
  const { dtype, quantization, sharding } = options;
  const planned = plannedMethods(shape, method);
  const compute = TORCH_DTYPES[dtype];
  return {
    shape: planned.shape,
    run: {
      weights: {
        dtype: compute,
        ...(quantization === undefined ? {} : { quantization: QUANTIZATIONS[quantization] }),
      },
      compute,
      methods: planned.methods,
      resting: planned.resting,
      batch: training.per_device_train_batch_size,
      length: data.max_length ?? DEFAULT_MAX_LENGTH,
      accumulation: training.gradient_accumulation_steps,
      checkpointing: options.checkpointing ?? false,
      attention: options.attention ?? 'sdpa',
      optimizer: optimizerOf(config, options),
      ...(sharding === undefined ? {} : { sharding }),
    },
    notes: [...planned.notes, ...notesOf(config, options)],
  };
}

function optimizerOf({ training }: RunConfig, { optim }: TorchOptions): OptimizerPlan {
  // The Trainer's own choice of AdamW is the fused one.
  const name = optim ?? (training.optim === 'adamw' ? 'adamw_torch_fused' : training.optim);
  return name === 'sgd' ? { kind: 'sgd', momentum: training.momentum > 0 } : TORCH_OPTIMIZERS[name];
}

function notesOf(
  { training, method }: RunConfig,
  { quantization, dtype, sharding }: TorchOptions,
): readonly string[] {
  const adapters = method.filter(({ type }) => type !== 'child_tuning').length;
  return [
    ...(quantization === undefined
      ? [l10n.t`Weights, and what layers compute in, are ${dtype}; what methods add is float32, as PEFT casts it.`]
      : [
          l10n.t`Weights that are not quantized are ${dtype}: prepare_model_for_kbit_training would make them float32.`,
          l10n.t`Layers compute in ${dtype}; what methods add is float32, as PEFT casts it.`,
        ]),
    ...(sharding === undefined ? [] : [l10n.t`All is per device, of ${sharding.devices}.`]),
    ...(adapters > 1 ? [l10n.t`PEFT attaches one adapter: planned with all methods of the file.`] : []),
    ...(training.sam_rho > 0 ? [l10n.t`Sharpness-aware steps are not Transformers': planned without.`] : []),
  ];
}
