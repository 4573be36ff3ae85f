import * as l10n from '@vscode/l10n';
import type { Json } from '../common/json.js';

/**
 * A key that other tools' files have and ours have not.
 * `off`: the values at which it changes nothing; there it is ignored with a warning, else it is an error.
 */
export interface ForeignKey {
  readonly off: readonly Json[];
  readonly why: string;
  readonly mend: string;
}

/** {@link ForeignKey} whose words are read when they are needed: then the language is known. */
interface ForeignEntry {
  readonly off: readonly Json[];
  readonly why: () => string;
  readonly mend: () => string;
}

const maths = (off: readonly Json[], what: () => string): ForeignEntry => ({
  off: [null, ...off],
  why: () => l10n.t`${what()} would change the maths, and the embedded engine does not have it`,
  mend: () => l10n.t`Remove the key to train without it.`,
});
const elsewhere = (
  mend: () => string,
  why = (): string => l10n.t`it is written elsewhere in a run file`,
): ForeignEntry => ({ off: [], why, mend });
const needless = (off: readonly Json[], why: () => string): ForeignEntry => ({
  off: [null, ...off],
  why,
  mend: () => l10n.t`Remove the key.`,
});

/** `LoraConfig` of HF PEFT, up to 0.18, less what we have. */
const LORA: Readonly<Record<string, ForeignEntry>> = {
  use_qalora: maths([false], () => l10n.t`quantization-aware grouping (QA-LoRA)`),
  lora_bias: maths([false], () => l10n.t`a bias on B`),
  layer_replication: maths([], () => l10n.t`replicating layers`),
  target_parameters: maths([[]], () => l10n.t`adapting bare parameters`),
  trainable_token_indices: maths([], () => l10n.t`training single token embeddings`),
  alora_invocation_tokens: maths([], () => l10n.t`activated LoRA`),
  arrow_config: maths([], () => l10n.t`Arrow routing`),
  loftq_config: maths([{}], () => l10n.t`a LoftQ start`),
  eva_config: maths([], () => l10n.t`an EVA start`),
  corda_config: maths([], () => l10n.t`a CorDA start`),
  ensure_weight_tying: maths([false], () => l10n.t`keeping trained copies of tied weights tied`),
  qalora_group_size: needless([16], () => l10n.t`it belongs to QA-LoRA, which the embedded engine does not have`),
  megatron_config: needless([], () => l10n.t`the embedded engine does not run Megatron layers`),
  megatron_core: needless(['megatron.core'], () => l10n.t`the embedded engine does not run Megatron layers`),
  runtime_config: needless([{ ephemeral_gpu_offload: false }], () => l10n.t`it concerns offloading from a GPU`),
  fan_in_fan_out: needless([false], () => l10n.t`the layout of each weight is known from its module`),
  inference_mode: needless([false], () => l10n.t`a run file is for training`),
  task_type: {
    ...elsewhere(() => l10n.t`Write \`task_type\` at the top of the file.`),
    off: [null, 'CAUSAL_LM'],
  },
  peft_type: needless(['LORA'], () => l10n.t`\`type\` says it`),
  base_model_name_or_path: elsewhere(() => l10n.t`Write the base model as \`model\` at the top of the file.`),
  revision: needless([], () => l10n.t`models are read from disk`),
  auto_mapping: needless([], () => l10n.t`models are read from disk`),
};

/** `LoraConfig` of the fork of PEFT that has MoRA, less what we have. */
const MORA: Readonly<Record<string, ForeignEntry>> = {
  ...LORA,
  use_mora: needless([true], () => l10n.t`\`type\` says it`),
  lora_alpha: needless([], () => l10n.t`MoRA’s update has no scale`),
};

const IN_KWARGS = elsewhere(() => l10n.t`Write it under \`lr_scheduler_kwargs\`.`);

/** `AdaLoraConfig` takes what `LoraConfig` takes. */
const ADALORA: Readonly<Record<string, ForeignEntry>> = {
  ...LORA,
  peft_type: needless(['ADALORA'], () => l10n.t`\`type\` says it`),
  total_step: needless([], () => l10n.t`how many steps there are follows from \`training\` and the data`),
};

/** LoRA that merges takes what `LoraConfig` takes, but for how it starts. */
const COLA: Readonly<Record<string, ForeignEntry>> = {
  ...LORA,
  init_lora_weights: maths([true], () => l10n.t`another start`),
  loraplus_lr_ratio: maths([], () => l10n.t`a learning rate of its own for B (LoRA+)`),
};

/** What the training script of ReLoRA's authors takes, less what we have. */
const RELORA: Readonly<Record<string, ForeignEntry>> = {
  ...COLA,
  min_lr_ratio: elsewhere(
    () =>
      l10n.t`Write \`lr_scheduler_type: cosine_with_min_lr\` and \`lr_scheduler_kwargs: { min_lr_rate: 0.1 }\` under \`training\`.`,
  ),
  warmup_steps: elsewhere(() => l10n.t`Write it under \`training\`.`),
};

const FROM_MODEL = needless([], () => l10n.t`it follows from the base model`);

/** Options of sharpness-aware minimization, which has the same letters. */
const SAM: Readonly<Record<string, ForeignEntry>> = Object.fromEntries(
  ['rho', 'adaptive'].map((key) => [
    key,
    elsewhere(
      () => l10n.t`Write \`sam_${key}\` under \`training\`: it goes with any method.`,
      () => l10n.t`it belongs to sharpness-aware minimization; \`sam\` is the second-order approximation method`,
    ),
  ]),
);

/** `PromptTuningConfig` of HF PEFT, less what we have. */
const PROMPT_TUNING: Readonly<Record<string, ForeignEntry>> = {
  peft_type: needless(['PROMPT_TUNING'], () => l10n.t`\`type\` says it`),
  task_type: LORA['task_type']!,
  inference_mode: LORA['inference_mode']!,
  base_model_name_or_path: LORA['base_model_name_or_path']!,
  revision: LORA['revision']!,
  auto_mapping: LORA['auto_mapping']!,
  tokenizer_name_or_path: needless([], () => l10n.t`the text is tokenized with the base model's tokenizer`),
  tokenizer_kwargs: needless([{}], () => l10n.t`the text is tokenized with the base model's tokenizer`),
  num_transformer_submodules: { ...FROM_MODEL, off: [null, 1] },
  token_dim: FROM_MODEL,
  num_layers: FROM_MODEL,
  num_attention_heads: FROM_MODEL,
};

/** `PrefixTuningConfig` of HF PEFT, less what we have. */
const PREFIX_TUNING: Readonly<Record<string, ForeignEntry>> = {
  ...PROMPT_TUNING,
  peft_type: needless(['PREFIX_TUNING'], () => l10n.t`\`type\` says it`),
};

/** `IA3Config` of HF PEFT, less what we have. */
const IA3: Readonly<Record<string, ForeignEntry>> = {
  peft_type: needless(['IA3'], () => l10n.t`\`type\` says it`),
  fan_in_fan_out: LORA['fan_in_fan_out']!,
  task_type: LORA['task_type']!,
  inference_mode: LORA['inference_mode']!,
  base_model_name_or_path: LORA['base_model_name_or_path']!,
  revision: LORA['revision']!,
  auto_mapping: LORA['auto_mapping']!,
};

/** `LoKrConfig` of HF PEFT, less what we have. */
const LOKR: Readonly<Record<string, ForeignEntry>> = {
  peft_type: needless(['LOKR'], () => l10n.t`\`type\` says it`),
  use_effective_conv2d: needless(
    [true, false],
    () => l10n.t`it is about convolutions, which language models have none of`,
  ),
  task_type: LORA['task_type']!,
  inference_mode: LORA['inference_mode']!,
  base_model_name_or_path: LORA['base_model_name_or_path']!,
  revision: LORA['revision']!,
  auto_mapping: LORA['auto_mapping']!,
};

/** `BnConfig` of the `adapters` library, less what we have. */
const ADAPTER: Readonly<Record<string, ForeignEntry>> = {
  original_ln_after: maths([true], () => l10n.t`leaving out the base's own addition and norm`),
  ln_before: maths([false], () => l10n.t`a norm of its own before the adapter`),
  ln_after: maths([false], () => l10n.t`a norm of its own behind the adapter`),
  use_gating: maths([false], () => l10n.t`a gate`),
  inv_adapter: maths([], () => l10n.t`invertible adapters`),
  phm_layer: maths([false], () => l10n.t`hypercomplex projections (Compacter)`),
  stochastic_depth: maths([0], () => l10n.t`dropping whole adapters while training`),
  adapter_residual_before_ln: needless([true, false], () => l10n.t`it belongs to ln_after`),
  inv_adapter_reduction_factor: needless([], () => l10n.t`it belongs to inv_adapter`),
  init_weights_seed: elsewhere(() => l10n.t`Set \`training.seed\`.`),
  architecture: needless([], () => l10n.t`\`type\` says it`),
};

/** `AdapterFusionConfig` of the `adapters` library, less what we have. */
const FUSION: Readonly<Record<string, ForeignEntry>> = {
  key: maths([true], () => l10n.t`attention without a key matrix`),
  query: maths([true], () => l10n.t`attention without a query matrix`),
  temperature: maths([false], () => l10n.t`a temperature of the attention`),
  residual_before: maths([false], () => l10n.t`adding the residual before the attention`),
  value_before_softmax: needless([true, false], () => l10n.t`both orders give the same`),
  value_initialized: needless([true], () => l10n.t`the value matrix starts near the identity`),
};

/** `TrainingArguments` of Transformers that people copy over, less what we have. */
const TRAINING: Readonly<Record<string, ForeignEntry>> = {
  fp16: needless([false], () => l10n.t`trained weights are kept in fp32`),
  bf16: needless([false], () => l10n.t`trained weights are kept in fp32`),
  tf32: needless([false], () => l10n.t`products are computed in fp32`),
  gradient_checkpointing: needless([false], () => l10n.t`the embedded engine keeps its activations`),
  output_dir: elsewhere(() => l10n.t`Write the folder as \`output.dir\`.`),
  run_name: elsewhere(() => l10n.t`Write the name as \`output.name\`.`),
  report_to: needless(['none', []], () => l10n.t`events go to \`events.jsonl\` in the run's folder`),
  eval_strategy: elsewhere(
    () => l10n.t`Set \`eval_steps\`, or leave it out to evaluate after each epoch.`,
    () => l10n.t`there is no such switch`,
  ),
  evaluation_strategy: elsewhere(
    () => l10n.t`Set \`eval_steps\`, or leave it out to evaluate after each epoch.`,
    () => l10n.t`there is no such switch`,
  ),
  logging_strategy: elsewhere(
    () => l10n.t`Set \`logging_steps\`.`,
    () => l10n.t`there is no such switch`,
  ),
  do_train: needless([true], () => l10n.t`training is a command, not an option`),
  do_eval: needless([true], () => l10n.t`whether to evaluate follows from the validation data`),
  data_seed: maths([], () => l10n.t`a seed of its own for the order of rows`),
  label_smoothing_factor: maths([0], () => l10n.t`label smoothing`),
  neftune_noise_alpha: maths([], () => l10n.t`NEFTune noise`),
  group_by_length: needless([true, false], () => l10n.t`rows are batched without wasted padding anyway`),
  optim_args: elsewhere(
    () => l10n.t`Write them as options of \`training\`: \`momentum\`, \`adafactor_…\`.`,
    () => l10n.t`there is no such text`,
  ),
  save_strategy: elsewhere(
    () => l10n.t`Set \`save_steps\`, or leave it out to write a checkpoint after each epoch.`,
    () => l10n.t`there is no such switch`,
  ),
  greater_is_better: needless([true, false], () => l10n.t`it follows from \`metric_for_best_model\``),
  num_cycles: IN_KWARGS,
  power: IN_KWARGS,
  lr_end: IN_KWARGS,
  timescale: IN_KWARGS,
  min_lr: IN_KWARGS,
  min_lr_rate: IN_KWARGS,
};

const FOREIGN: Readonly<Record<string, Readonly<Record<string, ForeignEntry>>>> = {
  'method.lora': LORA,
  'method.adalora': ADALORA,
  'method.lokr': LOKR,
  'method.mora': MORA,
  'method.relora': RELORA,
  'method.cola': COLA,
  'method.prompt_tuning': PROMPT_TUNING,
  'method.sam': SAM,
  'method.prefix_tuning': PREFIX_TUNING,
  'method.ia3': IA3,
  'method.adapter': ADAPTER,
  'method.adapter_fusion': FUSION,
  training: TRAINING,
};

/** Names that people try, by section; they are too far from ours in spelling for the nearest name. */
const USUAL_NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'method.lora': {
    rank: 'r',
    lora_r: 'r',
    lora_rank: 'r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
    lora_target: 'target_modules',
    lora_target_modules: 'target_modules',
    rslora: 'use_rslora',
    dora: 'use_dora',
  },
  'method.relora': {
    cycle_length: 'relora',
    restart_every: 'relora',
    restart_warmup: 'restart_warmup_steps',
    rank: 'r',
    lora_r: 'r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
  },
  'method.cola': {
    chain: 'chain_length',
    num_chains: 'chain_length',
    rank: 'r',
    lora_r: 'r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
  },
  'method.adalora': {
    r: 'init_r',
    rank: 'init_r',
    lora_r: 'init_r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
    delta_t: 'deltaT',
  },
  'method.dora_rank': {
    rank: 'r',
    target_r: 'r',
    lora_r: 'r',
    end_avg_rank: 'r',
    init_r: 'start_rank',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
    beta: 'sensitivity_beta',
    dem: 'regularization_loss_alpha',
    interval: 'prune_interval_step',
  },
  'method.sora': {
    rank: 'r',
    lora_r: 'r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
    lambda: 'sparse_lambda',
    xi: 'sparse_lambda_2',
    threshold: 'sparse_lambda_2',
    gate_lr: 'sparse_lr',
  },
  'method.dylora': {
    rank: 'r',
    lora_r: 'r',
    maximum_rank: 'r',
    max_rank: 'r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
    ranks: 'eval_ranks',
  },
  'method.melora': {
    n: 'l_num',
    lora_n: 'l_num',
    num_loras: 'l_num',
    rank: 'r',
    lora_r: 'r',
    alpha: 'lora_alpha',
    dropout: 'lora_dropout',
    targets: 'target_modules',
  },
  'method.mora': {
    rank: 'r',
    lora_r: 'r',
    dropout: 'lora_dropout',
    targets: 'target_modules',
  },
  'method.sltrain': {
    rank: 'r',
    alpha: 'lora_alpha',
    delta: 'sp_ratio',
    sparsity: 'sp_ratio',
    density: 'sp_ratio',
    keep_ratio: 'sp_ratio',
    dropout: 'lora_dropout',
    targets: 'target_modules',
  },
  'method.lotr': {
    rank: 'r',
    alpha: 'scale',
    lora_alpha: 'scale',
    targets: 'target_modules',
  },
  'method.lokr': {
    rank: 'r',
    lokr_rank: 'r',
    lora_alpha: 'alpha',
    lokr_alpha: 'alpha',
    factor: 'decompose_factor',
    lokr_factor: 'decompose_factor',
    scale: 'alpha',
    targets: 'target_modules',
    init_lora_weights: 'init_weights',
  },
  'method.prompt_tuning': {
    num_tokens: 'num_virtual_tokens',
    virtual_tokens: 'num_virtual_tokens',
    prompt_length: 'num_virtual_tokens',
    init: 'prompt_tuning_init',
    init_text: 'prompt_tuning_init_text',
    labels: 'class_labels',
  },
  'method.prefix_tuning': {
    num_tokens: 'num_virtual_tokens',
    prefix_length: 'num_virtual_tokens',
    bottleneck_size: 'encoder_hidden_size',
    projection: 'prefix_projection',
    flat: 'prefix_projection',
  },
  'method.ia3': {
    targets: 'target_modules',
    ia3_target: 'target_modules',
    feed_forward_modules: 'feedforward_modules',
  },
  'method.adapter': {
    adapter_size: 'bottleneck_size',
    bottleneck: 'bottleneck_size',
    hidden_size: 'bottleneck_size',
    activation: 'non_linearity',
    parallel: 'is_parallel',
    scale: 'scaling',
  },
  method: { peft_type: 'type', name: 'type' },
  training: {
    lr: 'learning_rate',
    epochs: 'num_train_epochs',
    num_epochs: 'num_train_epochs',
    steps: 'max_steps',
    batch_size: 'per_device_train_batch_size',
    train_batch_size: 'per_device_train_batch_size',
    micro_batch_size: 'per_device_train_batch_size',
    eval_batch_size: 'per_device_eval_batch_size',
    optimizer: 'optim',
    scheduler: 'lr_scheduler_type',
    lr_scheduler: 'lr_scheduler_type',
    warmup: 'warmup_steps',
    lr_scheduler_args: 'lr_scheduler_kwargs',
    beta1: 'adam_beta1',
    beta2: 'adam_beta2',
    eps: 'adam_epsilon',
    epsilon: 'adam_epsilon',
    grad_accum: 'gradient_accumulation_steps',
    accumulation_steps: 'gradient_accumulation_steps',
    per_gpu_train_batch_size: 'per_device_train_batch_size',
    per_gpu_eval_batch_size: 'per_device_eval_batch_size',
    gradient_clipping: 'max_grad_norm',
    clip_grad_norm: 'max_grad_norm',
    grad_clip: 'max_grad_norm',
    patience: 'early_stopping_patience',
    early_stopping: 'early_stopping_patience',
    sam: 'sam_rho',
    rho: 'sam_rho',
    keep_checkpoints: 'save_total_limit',
  },
  data: {
    formatting: 'format',
    type: 'format',
    file: 'train',
    path: 'train',
    dataset: 'train',
    train_file: 'train',
    eval: 'validation',
    val: 'validation',
    test: 'validation',
    validation_file: 'validation',
    val_size: 'validation_split',
    val_set_size: 'validation_split',
    test_size: 'validation_split',
    cutoff_len: 'max_length',
    sequence_len: 'max_length',
    max_seq_length: 'max_length',
    max_samples: 'max_rows',
    train_on_inputs: 'train_on_prompt',
  },
  output: { folder: 'dir', output_dir: 'dir' },
  '': {
    base_model: 'model',
    model_name_or_path: 'model',
    base_model_name_or_path: 'model',
    dataset: 'data',
    peft: 'method',
    adapter: 'method',
    training_args: 'training',
  },
};

/** Names of values that people know from elsewhere (Transformers, papers), in small letters, by the option that takes them. */
const USUAL_VALUES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  method: { krona: 'lokr', kronecker: 'lokr', lo_kr: 'lokr' },
  'training.optim': {
    adam: 'adamw',
    adamw_torch: 'adamw',
    adamw_torch_fused: 'adamw',
    adamw_torch_xla: 'adamw',
    adamw_apex_fused: 'adamw',
    adamw_anyprecision: 'adamw',
    adamw_hf: 'adamw',
  },
  'training.metric_for_best_model': { loss: 'eval_loss', accuracy: 'eval_token_accuracy' },
};

/** Names of methods that are options of another one here, each with how to write it. */
const WITHIN: Readonly<Record<string, () => string>> = {
  dora: () => l10n.t`Write \`type: lora\` with \`use_dora: true\`.`,
  rslora: () => l10n.t`Write \`type: lora\` with \`use_rslora: true\`.`,
  loraplus: () => l10n.t`Write \`type: lora\` with \`loraplus_lr_ratio: 16\`.`,
  pissa: () => l10n.t`Write \`type: lora\` with \`init_lora_weights: pissa\`.`,
  milora: () => l10n.t`Write \`type: lora\` with \`init_lora_weights: milora\`.`,
  olora: () => l10n.t`Write \`type: lora\` with \`init_lora_weights: olora\`.`,
};

/** How to write a method that is an option of another, for a run file that names it as its `type`. */
export function methodWithin(name: string): string | undefined {
  return own(WITHIN, name.toLowerCase())?.();
}

/** DoRA, which `lora` alone has. */
const ONLY_LORA: ForeignEntry = {
  off: [null, false],
  why: () => l10n.t`weight decomposition (DoRA) goes with plain LoRA`,
  mend: () => l10n.t`Write \`type: lora\` for it, or remove the key.`,
};

/** What is known about a key that a section (`training`, `method.lora`, '' for the top) does not have. */
export function foreignKey(section: string, key: string): ForeignKey | undefined {
  const found = section.startsWith('method.') && key === 'use_dora' ? ONLY_LORA : own(own(FOREIGN, section), key);
  return found && { off: found.off, why: found.why(), mend: found.mend() };
}

/** The key that people mean by `key` in this section. */
export function usualName(section: string, key: string): string | undefined {
  return own(USUAL_NAMES, section) && own(USUAL_NAMES[section], key);
}

/** The value that people mean by `value` for this option (`training.optim`). */
export function usualValue(option: string, value: string): string | undefined {
  return own(USUAL_VALUES, option) && own(USUAL_VALUES[option], value);
}

function own<T>(table: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return table && Object.hasOwn(table, key) ? table[key] : undefined;
}
