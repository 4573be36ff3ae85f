import { plainValue } from '../tree.js';
import { fallback, leave, other, result, set, speed, to } from './rules.js';
import type { Converted, Draft, Rule, Rules, Source } from './rules.js';
import { TRAINER_RULES, heldOut, number, optimizer, schedule } from './trainerRules.js';

const finetuningType: Rule = (entry, draft, source) => {
  const value = plainValue(entry.value);
  if (isGalore(source)) set(draft, 'method.type', 'galore', entry);
  else if (value === 'lora' || value === 'full') set(draft, 'method.type', value, entry);
  else leave(draft, entry, 'result', 'there is no such method here; LoRA is written');
};

/** GaLore is a way of training all weights there: with another type of fine-tuning it is refused. */
function isGalore({ all }: Source): boolean {
  return all['use_galore'] === true && all['finetuning_type'] === 'full';
}

/** An option of GaLore, where it is on. */
const galore =
  (...rule: Parameters<typeof to>): Rule =>
  (entry, draft, source) => {
    if (isGalore(source)) to(...rule)(entry, draft, source);
    else leave(draft, entry, 'off', 'GaLore is off');
  };

const useGalore: Rule = (entry, draft, source) => {
  if (isGalore(source)) leave(draft, entry, 'other', 'it is the method galore');
  else result('GaLore trains all weights: it wants finetuning_type: full')(entry, draft, source);
};

const stage: Rule = (entry, draft) => {
  const value = plainValue(entry.value);
  if (value === 'sft') leave(draft, entry, 'other', 'supervised fine-tuning, as here');
  else if (value === 'pt') set(draft, 'data.format', 'text', entry);
  else leave(draft, entry, 'result', 'only supervised fine-tuning is known here');
};

/** With `pissa_iter` subspace iterations, 16 where it is not written; exactly for −1. */
function pissa(value: unknown, { all }: Source): Converted {
  if (value !== true) return { value: true };
  const iterations = all['pissa_iter'] ?? 16;
  return { value: iterations === -1 ? 'pissa' : `pissa_niter_${String(iterations)}` };
}

/** `q_proj,v_proj`, `[q_proj, v_proj]` or `all`. */
function target(value: unknown): Converted {
  const names = namesOf(value);
  if (names.length === 0) return { reason: 'it names no module' };
  return { value: names.includes('all') ? 'all-linear' : names };
}

const dataset: Rule = (entry, draft, source) => {
  const names = namesOf(plainValue(entry.value));
  if (names.length === 0) {
    leave(draft, entry, 'result', 'it names no data set');
    return;
  }
  const files = names.map((name) => fileOf(name, 'data.train', draft, source));
  set(draft, 'data.train', files.length === 1 ? files[0] : files, entry);
};

const evalDataset: Rule = (entry, draft, source) => {
  const [name, ...more] = namesOf(plainValue(entry.value));
  if (name === undefined || more.length > 0) {
    leave(draft, entry, 'result', 'one file or data set can be held out');
    return;
  }
  set(draft, 'data.validation', fileOf(name, 'data.validation', draft, source), entry);
};

/** The file of a data set: it is one, is known by this name, or has to be looked for by the user. */
function fileOf(name: string, path: string, draft: Draft, { all, datasetFile }: Source): string {
  if (/\.\w+$/.test(name) || name.includes('/')) return name;
  const found = datasetFile?.(name);
  if (found !== undefined) return found;
  const folder = typeof all['dataset_dir'] === 'string' ? all['dataset_dir'] : 'data';
  draft.notes.push(
    `The data set '${name}' is a name in ${folder}/dataset_info.json, where it was not found: check its file in ${path}.`,
  );
  return `${folder}/${name}.json`;
}

function namesOf(value: unknown): string[] {
  const list: unknown[] = typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [];
  return list.flatMap((each) => (typeof each === 'string' && each.trim() !== '' ? [each.trim()] : []));
}

const packing: Rule = (entry, draft, source) => {
  // Without `neat_packing` it attends across rows, which is never done here.
  to('data.packing')(entry, draft, source);
  if (plainValue(entry.value) === true && source.all['neat_packing'] !== true) {
    draft.notes.push('Packed rows do not see each other here; in LLaMA-Factory they do without neat_packing.');
  }
};

const neatPacking: Rule = (entry, draft) => {
  if (plainValue(entry.value) === true) set(draft, 'data.packing', true, entry);
  else leave(draft, entry, 'off', 'off; packed rows never see each other here');
};

/** LLaMA-Factory's settings, as its `hparams` name them. */
export const LLAMA_FACTORY_RULES: Rules = {
  ...TRAINER_RULES,
  model_name_or_path: to('model'),
  model_revision: to('model_revision'),
  adapter_name_or_path: result('a run starts from the base; resume a run of its own instead'),
  stage,
  finetuning_type: finetuningType,
  lora_rank: to('method.r', number),
  lora_alpha: to('method.lora_alpha', number),
  lora_dropout: to('method.lora_dropout', number),
  lora_target: to('method.target_modules', target),
  additional_target: to('method.modules_to_save', (value) => ({ value: namesOf(value) })),
  use_rslora: to('method.use_rslora'),
  use_dora: to('method.use_dora'),
  pissa_init: to('method.init_lora_weights', pissa),
  pissa_iter: other('it is part of init_lora_weights, where pissa_init is on'),
  pissa_convert: other('what is written is a plain LoRA in any case'),
  create_new_adapter: other('every run makes a new adapter'),
  loraplus_lr_ratio: to('method.loraplus_lr_ratio', number),
  loraplus_lr_embedding: to('method.loraplus_lr_embedding', number),
  freeze_trainable_layers: result(
    'see the method last_layers (num_layers), which trains what stands behind the last layer, too',
  ),
  freeze_trainable_modules: result('see the method last_layers, which trains whole layers'),
  use_galore: useGalore,
  galore_target: galore('method.target_modules', target),
  galore_rank: galore('method.rank', number),
  galore_update_interval: galore('method.update_proj_gap', number),
  galore_scale: galore('method.scale', number),
  galore_proj_type: galore('method.proj_type'),
  galore_layerwise: other('a gradient is let go of as soon as it is projected'),
  use_apollo: result('APOLLO is not known here'),
  use_badam: result('BAdam is not known here'),
  use_swanlab: other('the events are written to events.jsonl'),
  quantization_bit: result('the base keeps its own precision here'),
  quantization_method: result('the base keeps its own precision here'),
  quantization_type: result('the base keeps its own precision here'),
  double_quantization: result('the base keeps its own precision here'),
  rope_scaling: result('positions are those of the model’s config'),
  dataset,
  eval_dataset: evalDataset,
  dataset_dir: other('data files are named with their folder'),
  template: result('the template is the model’s own; a base model has none: use prompt and completion'),
  default_system: result('what the model’s template adds is used'),
  cutoff_len: to('data.max_length', number),
  max_samples: to('data.max_rows', number),
  val_size: to('data.validation_split', heldOut),
  train_on_prompt: to('data.train_on_prompt'),
  mask_history: result('all answers of a conversation are supervised here'),
  packing,
  neat_packing: neatPacking,
  mix_strategy: result('data sets are joined one behind the other'),
  interleave_probs: result('data sets are joined one behind the other'),
  streaming: speed('rows are read before the first step'),
  overwrite_cache: other('rows are prepared anew for each run'),
  preprocessing_num_workers: speed('rows are read in one process'),
  tokenized_path: other('rows are prepared anew for each run'),
  per_device_train_batch_size: to('training.per_device_train_batch_size', number),
  per_device_eval_batch_size: to('training.per_device_eval_batch_size', number),
  num_train_epochs: to('training.num_train_epochs', number),
  optim: to('training.optim', optimizer),
  lr_scheduler_type: to('training.lr_scheduler_type', schedule),
  lr_scheduler_kwargs: to('training.lr_scheduler_kwargs'),
  metric_for_best_model: to('training.metric_for_best_model'),
  output_dir: to('output.dir'),
  logging_dir: other('the log lies in the folder of the run'),
  plot_loss: other('the panel draws the loss'),
  include_num_input_tokens_seen: other('the events have it'),
  predict_with_generate: result('a run does not generate; see `peft-studio generate`'),
  compute_accuracy: other('evaluations tell the accuracy of tokens and rows'),
  flash_attn: speed('another engine computes here'),
  use_unsloth: speed('another engine computes here'),
  use_unsloth_gc: speed('another engine computes here'),
  enable_liger_kernel: speed('another engine computes here'),
  shift_attn: result('attention is always whole here'),
  upcast_layernorm: speed('the arithmetic is float32 here'),
  upcast_lmhead_output: speed('the arithmetic is float32 here'),
  disable_gradient_checkpointing: speed('it trades memory for time; the result is the same'),
  low_cpu_mem_usage: speed('another engine computes here'),
  cache_dir: other('the cache is that of the Hugging Face hub'),
  hf_hub_token: other('set HF_TOKEN instead; it is never written into a run file'),
};

/** What LLaMA-Factory does where nothing is written, and we would do otherwise. */
export function llamaFactoryDefaults(draft: Draft): void {
  fallback(draft, 'method.type', 'lora');
  if (draft.values.get('method.type') === 'lora') {
    const rank = draft.values.get('method.r');
    // Its alpha is twice its rank where none is given.
    fallback(draft, 'method.lora_alpha', 2 * (typeof rank === 'number' ? rank : 8));
  }
  if (draft.values.get('method.type') === 'galore') {
    fallback(draft, 'method.rank', 16);
    fallback(draft, 'method.scale', 2);
  }
  fallback(draft, 'data.max_length', 2048);
  fallback(draft, 'training.learning_rate', 5e-5);
}
