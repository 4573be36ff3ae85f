import { other, result, speed, to, word } from './rules.js';
import type { Converted, Rules } from './rules.js';

/** Optimizers by the names of Transformers; those of bitsandbytes are the same but for the bits they keep. */
const OPTIMIZERS: Readonly<Record<string, string>> = {
  adamw: 'adamw',
  adamw_hf: 'adamw',
  adamw_torch: 'adamw',
  adamw_torch_fused: 'adamw',
  adamw_apex_fused: 'adamw',
  adafactor: 'adafactor',
  sgd: 'sgd',
};
const NARROW_ADAM = /^(?:paged_)?adamw_(?:bnb_)?(?:8bit|32bit)$|^adamw_torch_(?:4bit|8bit)$/;

export function optimizer(value: unknown): Converted {
  if (typeof value === 'string' && NARROW_ADAM.test(value)) {
    const note = `The optimizer ${value} becomes adamw, which keeps its numbers in 32 bits: the same rule, more memory.`;
    return { value: 'adamw', note };
  }
  return word(OPTIMIZERS, 'optimizer')(value);
}

/** Schedules by the names of Transformers. */
const SCHEDULES: Readonly<Record<string, string>> = Object.fromEntries(
  [
    'linear',
    'cosine',
    'cosine_with_restarts',
    'cosine_with_min_lr',
    'polynomial',
    'inverse_sqrt',
    'constant',
    'constant_with_warmup',
  ].map((name) => [name, name]),
);

export const schedule = word(SCHEDULES, 'schedule');

/** A number, also where it is written as text: YAML 1.1 reads `1e-5` as one. */
export function number(value: unknown): Converted {
  const found = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof found === 'number' && Number.isFinite(found) ? { value: found } : { reason: 'it is not a number' };
}

/** A count of steps; a share of them, which Transformers takes too, has another meaning. */
export function steps(value: unknown): Converted {
  const found = number(value);
  if ('reason' in found) return found;
  return Number.isInteger(found.value) && Number(found.value) >= 1
    ? found
    : { reason: 'it is no number of steps from 1 up; the end of each epoch is used' };
}

/** A share of the rows, or a number of them. */
export function heldOut(value: unknown): Converted {
  const found = number(value);
  return 'value' in found && found.value === 0 ? { reason: 'no rows are held out, as here' } : found;
}

/** Zero and below stand for no limit. */
function stepLimit(value: unknown): Converted {
  const found = number(value);
  return 'value' in found && Number(found.value) <= 0 ? { reason: 'no limit: the epochs count, as here' } : found;
}

/** The keys of Transformers' TrainingArguments, which Axolotl and LLaMA-Factory both take. */
export const TRAINER_RULES: Rules = {
  learning_rate: to('training.learning_rate', number),
  weight_decay: to('training.weight_decay', number),
  adam_beta1: to('training.adam_beta1', number),
  adam_beta2: to('training.adam_beta2', number),
  adam_epsilon: to('training.adam_epsilon', number),
  max_grad_norm: to('training.max_grad_norm', number),
  max_steps: to('training.max_steps', stepLimit),
  gradient_accumulation_steps: to('training.gradient_accumulation_steps', number),
  warmup_steps: to('training.warmup_steps', number),
  warmup_ratio: to('training.warmup_ratio', number),
  seed: to('training.seed', number),
  logging_steps: to('training.logging_steps', steps),
  save_steps: to('training.save_steps', steps),
  eval_steps: to('training.eval_steps', steps),
  save_total_limit: to('training.save_total_limit', number),
  load_best_model_at_end: to('training.load_best_model_at_end'),
  early_stopping_patience: to('training.early_stopping_patience', number),
  eval_strategy: other('evaluations follow eval_steps, else the end of each epoch'),
  evaluation_strategy: other('evaluations follow eval_steps, else the end of each epoch'),
  save_strategy: other('checkpoints follow save_steps, else the end of each epoch'),
  bf16: speed('the arithmetic is float32 here: more exact, slower'),
  fp16: speed('the arithmetic is float32 here: more exact, slower'),
  pure_bf16: speed('the arithmetic is float32 here: more exact, slower'),
  float16: speed('the arithmetic is float32 here: more exact, slower'),
  bfloat16: speed('the arithmetic is float32 here: more exact, slower'),
  tf32: speed('the arithmetic is float32 here: more exact, slower'),
  gradient_checkpointing: speed('it trades time for memory; the result is the same'),
  gradient_checkpointing_kwargs: speed('it trades time for memory; the result is the same'),
  deepspeed: speed('there is one process on one machine here'),
  fsdp: speed('there is one process on one machine here'),
  fsdp_config: speed('there is one process on one machine here'),
  ddp_timeout: speed('there is one process on one machine here'),
  local_rank: speed('there is one process on one machine here'),
  torch_compile: speed('another engine computes here'),
  dataloader_num_workers: speed('rows are read before the first step here'),
  dataloader_pin_memory: speed('rows are read before the first step here'),
  group_by_length: result('rows are drawn in random order here, whatever their length'),
  neftune_noise_alpha: result('noise on the embeddings is not known here'),
  label_smoothing_factor: result('label smoothing is not known here'),
  report_to: other('the events are written to events.jsonl'),
  run_name: other('a run is called by its run file'),
  push_to_hub: other('nothing is uploaded'),
  hub_model_id: other('nothing is uploaded'),
  resume_from_checkpoint: other('resume with `peft-studio train FILE --resume`'),
  overwrite_output_dir: other('each run has a folder of its own'),
  save_only_model: other('checkpoints hold the optimizer, so that a run can be resumed'),
  save_safetensors: other('results are always safetensors'),
  trust_remote_code: other('code out of a model is never run'),
  do_train: other('a run trains'),
  do_eval: other('a run evaluates where there are validation rows'),
  do_predict: result('a run does not generate; see `peft-studio generate`'),
};
