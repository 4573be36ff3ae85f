import { METHODS } from '../../methods/registry.js';
import { TASK_TYPES } from '../../models/task.js';
import { plainValue } from '../tree.js';
import { leave, other, result, set, to } from './rules.js';
import type { Converted, Draft, Rule, Rules } from './rules.js';

/** Our methods by PEFT's names of them. */
const TYPES: Readonly<Record<string, string>> = {
  LORA: 'lora',
  ADALORA: 'adalora',
  LOKR: 'lokr',
  MELORA: 'melora',
  PROMPT_TUNING: 'prompt_tuning',
  PREFIX_TUNING: 'prefix_tuning',
  IA3: 'ia3',
};

const peftType: Rule = (entry, draft, { all }) => {
  const value = plainValue(entry.value);
  const known = typeof value === 'string' && Object.hasOwn(TYPES, value) ? TYPES[value] : undefined;
  // MoRA's config is a LoRA's that says so; MELoRA's lists what each mini LoRA has.
  const type = known === 'lora' && all['use_mora'] === true ? 'mora' : known;
  if (type === 'melora' && Array.isArray(all['r'])) set(draft, 'method.l_num', all['r'].length, entry);
  if (type === undefined) leave(draft, entry, 'result', 'there is no such method here; LoRA is written');
  set(draft, 'method.type', type ?? 'lora', entry);
};

const taskType: Rule = (entry, draft) => {
  const value = plainValue(entry.value);
  if (value === 'CAUSAL_LM') leave(draft, entry, 'other', 'a causal language model, as here');
  else if (value === null) leave(draft, entry, 'off', 'empty: a causal language model, as here');
  else if (TASK_TYPES.some((type) => type === value)) set(draft, 'task_type', value, entry);
  else leave(draft, entry, 'result', `only ${TASK_TYPES.join(', ')} are known here`);
};

/** Our methods name their options as PEFT does. */
const OPTIONS: Rules = Object.fromEntries(
  METHODS.flatMap(({ options }) => Object.keys(options.properties))
    .filter((name) => name !== 'type')
    .map((name) => [name, to(`method.${name}`)]),
);

/** One number for all mini LoRAs of MELoRA. */
function ofMinis(value: unknown): Converted {
  if (!Array.isArray(value)) return { value };
  const numbers: readonly unknown[] = value;
  return numbers.every((each) => each === numbers[0])
    ? { value: numbers[0] }
    : { reason: 'mini LoRAs are alike here: the default is used' };
}

/** The keys of an `adapter_config.json`. */
export const PEFT_RULES: Rules = {
  ...OPTIONS,
  r: to('method.r', ofMinis),
  lora_alpha: to('method.lora_alpha', ofMinis),
  use_mora: other('the method says it'),
  mode: other('it says nothing but that it is MELoRA'),
  peft_type: peftType,
  task_type: taskType,
  base_model_name_or_path: to('model'),
  revision: to('model_revision'),
  auto_mapping: other('it is told by the model'),
  peft_version: other('which version wrote the file'),
  inference_mode: other('a new run trains'),
  use_effective_conv2d: other('it is about convolutions'),
  fan_in_fan_out: other('it is told by the module'),
  megatron_config: result('Megatron is not known here'),
  megatron_core: other('it belongs to Megatron, which is not known here'),
  use_qalora: result('QALoRA is not known here'),
  qalora_group_size: other('a size that belongs to QALoRA'),
  use_bdlora: result('BD-LoRA is not known here'),
  lora_bias: result('B has no bias here'),
  layer_replication: result('layers are not replicated here'),
  target_parameters: result('only whole modules are adapted here'),
  trainable_token_indices: result('embeddings train whole (modules_to_save) or with a low rank'),
  ensure_weight_tying: result('tied weights stay tied only where one module holds both'),
  loftq_config: result('the base is not quantized here'),
  eva_config: result('EVA is not known here: the usual start is written'),
  corda_config: result('CorDA is not known here: the usual start is written'),
  lora_ga_config: result('LoRA-GA is not known here: the usual start is written'),
  runtime_config: other('it says how PEFT loads, not what it learns'),
  alora_invocation_tokens: result('activated LoRA is not known here'),
  arrow_config: result('Arrow is not known here'),
  total_step: other('the number of steps follows from the run'),
  tokenizer_name_or_path: other('the tokenizer is the model’s'),
  tokenizer_kwargs: result('the tokenizer is the model’s'),
  num_layers: other('it is told by the model'),
  num_attention_heads: other('it is told by the model'),
  num_transformer_submodules: other('it is told by the model'),
  token_dim: other('it is told by the model'),
};

/** A file without a kind is read as LoRA's, which most are. */
export function peftDefaults(draft: Draft): void {
  if (!draft.values.has('method.type')) set(draft, 'method.type', 'lora');
}
