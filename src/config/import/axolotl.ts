import { entryOf, plainValue } from '../tree.js';
import type { Entry, MapNode } from '../tree.js';
import { fallback, leave, other, result, set, speed, to } from './rules.js';
import type { Draft, Rule, Rules } from './rules.js';
import { TRAINER_RULES, heldOut, number, optimizer, schedule, steps } from './trainerRules.js';

/** Which of our formats a `type` of a data set is. */
const FORMATS: Readonly<Record<string, string>> = {
  alpaca: 'alpaca',
  chat_template: 'chat',
  sharegpt: 'chat',
  completion: 'text',
  pretrain: 'text',
};

/** Keys of a data set whose meaning is kept. */
const DATASET_COLUMNS: Readonly<Record<string, string>> = { field_messages: 'messages', field: 'text' };

const datasets: Rule = (entry, draft) => {
  const sets = entry.value.kind === 'list' ? entry.value.items : [entry.value];
  const train: string[] = [];
  const formats = new Set<string>();
  for (const node of sets) {
    if (node.kind !== 'map') {
      leave(draft, entry, 'result', 'a data set is a mapping with `path` and `type`');
      return;
    }
    train.push(...dataset(node, draft, formats, entry));
  }
  if (train.length > 0) set(draft, 'data.train', train.length === 1 ? train[0] : train, entry);
  const [format] = formats;
  if (formats.size === 1) set(draft, 'data.format', format, entry);
  else if (formats.size > 1) {
    draft.notes.push(
      `The data sets have different formats (${[...formats].join(', ')}): each file's is taken from its columns.`,
    );
  }
};

function dataset(node: MapNode, draft: Draft, formats: Set<string>, under: Entry): string[] {
  const read = (key: string): unknown => {
    const found = entryOf(node, key);
    return found && plainValue(found.value);
  };
  const file = read('path');
  const inside = read('data_files');
  const split = read('split');
  for (const each of node.entries) {
    const named = { ...each, key: `${under.key}.${each.key}` };
    const { key } = each;
    const value = plainValue(each.value);
    if (key === 'path' || key === 'split' || value === null) continue;
    if (key === 'type' && typeof value === 'string') {
      const name = value.split('.')[0]!;
      const format = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
      if (format !== undefined) formats.add(format);
      else leave(draft, named, 'result', 'there is no such prompt format here; it is taken from the columns');
    } else if (key === 'data_files' && Array.isArray(value)) continue;
    else if (key === 'data_files' && typeof value === 'string') continue;
    else if (key === 'ds_type') leave(draft, named, 'other', 'the kind of a file is told by its name');
    else if (Object.hasOwn(DATASET_COLUMNS, key)) set(draft, `data.columns.${DATASET_COLUMNS[key]}`, value, each);
    else if (/^(message_|message_field)|^roles|^train_on_eos|^chat_template|^conversation/.test(key)) {
      leave(draft, named, 'result', 'roles, turns and the template are those of the rows and of the model');
    } else leave(draft, named, 'result', 'this option of a data set is not known here');
  }
  const files = (Array.isArray(inside) ? inside : [inside]).filter((each) => typeof each === 'string');
  if (files.length > 0) return files;
  if (typeof file !== 'string') return [];
  const isId = /^[\w.-]+\/[\w.-]+$/.test(file) && !/\.\w{3,7}$/.test(file);
  return [isId && typeof split === 'string' ? `${file}:${split}` : file];
}

const adapter: Rule = (entry, draft) => {
  const value = plainValue(entry.value);
  if (value === null || value === '') {
    leave(draft, entry, 'off', 'empty: full fine-tuning');
    return;
  }
  if (value === 'lora' || value === 'qlora') {
    set(draft, 'method.type', 'lora', entry);
    if (value === 'qlora') {
      leave(
        draft,
        entry,
        'result',
        'the base is not quantized here: LoRA on its full weights, which fits no worse',
      );
    }
    return;
  }
  leave(draft, entry, 'result', 'there is no such method here; full fine-tuning is written');
};

const targetLinear: Rule = (entry, draft) => {
  if (plainValue(entry.value) === true) set(draft, 'method.target_modules', 'all-linear', entry);
  else leave(draft, entry, 'off', 'off, as here');
};

/** `lora_target_linear` takes all linear layers, whatever else is listed. */
const targetModules: Rule = (entry, draft, source) => {
  if (source.all['lora_target_linear'] === true) {
    leave(draft, entry, 'other', 'lora_target_linear takes all linear layers');
  } else to('method.target_modules')(entry, draft, source);
};

const lisa =
  (option: string): Rule =>
  (entry, draft, source) => {
    set(draft, 'method.type', 'lisa', entry);
    to(`method.${option}`, number)(entry, draft, source);
  };

/** Axolotl's settings, as its `schemas` name them. */
export const AXOLOTL_RULES: Rules = {
  ...TRAINER_RULES,
  base_model: to('model'),
  base_model_config: other('the config is read from the model'),
  model_type: other('the model says itself what it is'),
  tokenizer_type: other('the tokenizer is the model’s'),
  tokenizer_config: result('the tokenizer is the model’s'),
  is_llama_derived_model: other('the model says itself what it is'),
  is_mistral_derived_model: other('the model says itself what it is'),
  is_qwen_derived_model: other('the model says itself what it is'),
  is_falcon_derived_model: other('the model says itself what it is'),
  strict: other('unknown keys are always told here'),
  adapter,
  lora_r: to('method.r', number),
  lora_alpha: to('method.lora_alpha', number),
  lora_dropout: to('method.lora_dropout', number),
  lora_target_modules: targetModules,
  lora_target_linear: targetLinear,
  lora_modules_to_save: to('method.modules_to_save'),
  lora_rank_pattern: to('method.rank_pattern'),
  lora_alpha_pattern: to('method.alpha_pattern'),
  lora_bias: to('method.bias'),
  peft_layers_to_transform: to('method.layers_to_transform'),
  peft_layers_pattern: to('method.layers_pattern'),
  peft_use_rslora: to('method.use_rslora'),
  peft_init_lora_weights: to('method.init_lora_weights'),
  peft_use_dora: to('method.use_dora'),
  lora_fan_in_fan_out: other('it is told by the module'),
  lora_model_dir: result('a run starts from the base; resume a run of its own instead'),
  lora_target_parameters: result('only whole modules are adapted here'),
  loraplus_lr_ratio: to('method.loraplus_lr_ratio', number),
  loraplus_lr_embedding: to('method.loraplus_lr_embedding', number),
  lora_mlp_kernel: speed('another engine computes here'),
  lora_qkv_kernel: speed('another engine computes here'),
  lora_o_kernel: speed('another engine computes here'),
  lora_on_cpu: speed('another engine computes here'),
  relora: result('ReLoRA is not known here'),
  relora_steps: result('ReLoRA is not known here'),
  lisa_n_layers: lisa('lisa_activated_layers'),
  lisa_step_interval: lisa('lisa_interval_steps'),
  lisa_layers_attribute: other('the layers are told by the model'),
  load_in_8bit: result('the base keeps its own precision here'),
  load_in_4bit: result('the base keeps its own precision here'),
  gptq: result('packed weights are not read'),
  datasets,
  test_datasets: result('name one file or data set as data.validation'),
  pretraining_dataset: result('name the data as data.train, with data.format: text'),
  val_set_size: to('data.validation_split', heldOut),
  dataset_prepared_path: other('rows are prepared anew for each run'),
  dataset_processes: speed('rows are read in one process'),
  dataset_num_proc: speed('rows are read in one process'),
  shuffle_merged_datasets: other('rows are drawn in random order'),
  chat_template: result('the template is the model’s own'),
  chat_template_jinja: result('the template is the model’s own'),
  default_system_message: result('what the model’s template adds is used'),
  special_tokens: result('the tokens are the tokenizer’s; change them in the model’s folder'),
  tokens: result('no tokens are added; change them in the model’s folder'),
  sequence_len: to('data.max_length', number),
  sample_packing: to('data.packing'),
  eval_sample_packing: speed('evaluation is not packed'),
  pad_to_sequence_len: speed('rows are padded to the longest of their batch'),
  train_on_inputs: to('data.train_on_prompt'),
  micro_batch_size: to('training.per_device_train_batch_size', number),
  eval_batch_size: to('training.per_device_eval_batch_size', number),
  batch_size: result('write gradient_accumulation_steps instead'),
  num_epochs: to('training.num_train_epochs', number),
  optimizer: to('training.optim', optimizer),
  optim_args: result('options of the optimizer are named one by one here'),
  lr_scheduler: to('training.lr_scheduler_type', schedule),
  lr_scheduler_kwargs: to('training.lr_scheduler_kwargs'),
  cosine_min_lr_ratio: result('write lr_scheduler_type: cosine_with_min_lr with min_lr_rate'),
  evals_per_epoch: other('write eval_steps; without it, at the end of each epoch'),
  saves_per_epoch: other('write save_steps; without it, at the end of each epoch'),
  eval_table_size: other('no table of answers is made'),
  eval_max_new_tokens: other('no table of answers is made'),
  early_stopping_patience: to('training.early_stopping_patience', steps),
  output_dir: to('output.dir'),
  flash_attention: speed('another engine computes here'),
  flash_attn_cross_entropy: speed('another engine computes here'),
  xformers_attention: speed('another engine computes here'),
  sdp_attention: speed('another engine computes here'),
  eager_attention: speed('another engine computes here'),
  s2_attention: result('attention is always whole here'),
  unsloth_lora_mlp: speed('another engine computes here'),
  unsloth_lora_qkv: speed('another engine computes here'),
  unsloth_lora_o: speed('another engine computes here'),
  unsloth_cross_entropy_loss: speed('another engine computes here'),
  plugins: result('plugins of Axolotl are not known here'),
  rl: result('only supervised fine-tuning is known here'),
  debug: other('the log has it'),
  wandb_project: other('the events are written to events.jsonl'),
  wandb_entity: other('the events are written to events.jsonl'),
  wandb_watch: other('the events are written to events.jsonl'),
  wandb_name: other('the events are written to events.jsonl'),
  wandb_run_id: other('the events are written to events.jsonl'),
  wandb_log_model: other('the events are written to events.jsonl'),
  use_tensorboard: other('the events are written to events.jsonl'),
  revision_of_model: to('model_revision'),
};

/** What Axolotl does where nothing is written, and we would do otherwise. */
export function axolotlDefaults(draft: Draft): void {
  fallback(draft, 'method.type', 'full');
  fallback(draft, 'data.max_length', 512);
  fallback(draft, 'training.num_train_epochs', 1);
  fallback(draft, 'training.per_device_train_batch_size', 1);
  fallback(draft, 'training.lr_scheduler_type', 'cosine');
  if (!draft.values.has('training.warmup_steps')) fallback(draft, 'training.warmup_ratio', 0.03);
}
