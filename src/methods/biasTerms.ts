import type { Matchable } from './targets.js';

/**
 * Kinds of bias, after the modules of a layer that they belong to. The names within the layers are those of BitFit's
 * authors.
 */
export const BIAS_TERMS = [
  'query',
  'key',
  'value',
  'attention_output',
  'attention_layernorm',
  'intermediate',
  'output',
  'output_layernorm',
  'embeddings',
  'head',
] as const;
export type BiasTerm = (typeof BIAS_TERMS)[number];

/** What the modules of a layer are, by their names within it; of models that are only planned for, too. */
const MODULES: ReadonlyMap<string, readonly BiasTerm[]> = new Map<string, readonly BiasTerm[]>([
  ['attention.self.query', ['query']],
  ['attention.self.key', ['key']],
  ['attention.self.value', ['value']],
  ['attention.output.dense', ['attention_output']],
  ['attention.output.LayerNorm', ['attention_layernorm']],
  ['intermediate.dense', ['intermediate']],
  ['output.dense', ['output']],
  ['output.LayerNorm', ['output_layernorm']],
  // One tensor for the three.
  ['attn.c_attn', ['query', 'key', 'value']],
  ['attn.c_proj', ['attention_output']],
  ['ln_1', ['attention_layernorm']],
  ['mlp.c_fc', ['intermediate']],
  ['mlp.c_proj', ['output']],
  ['ln_2', ['output_layernorm']],
  ['self_attn.q_proj', ['query']],
  ['self_attn.k_proj', ['key']],
  ['self_attn.v_proj', ['value']],
  ['self_attn.o_proj', ['attention_output']],
  ['mlp.gate_proj', ['intermediate']],
  ['mlp.up_proj', ['intermediate']],
  ['mlp.down_proj', ['output']],
  // GPT-NeoX, BLOOM, Falcon
  ...['attention', 'self_attention'].flatMap((attention): [string, readonly BiasTerm[]][] => [
    [`${attention}.query_key_value`, ['query', 'key', 'value']],
    [`${attention}.dense`, ['attention_output']],
  ]),
  ['mlp.dense_h_to_4h', ['intermediate']],
  ['mlp.dense_4h_to_h', ['output']],
  ['input_layernorm', ['attention_layernorm']],
  ['post_attention_layernorm', ['output_layernorm']],
  // OPT, Phi
  ['self_attn.out_proj', ['attention_output']],
  ['self_attn.dense', ['attention_output']],
  ...['', 'mlp.'].flatMap((at): [string, readonly BiasTerm[]][] => [
    [`${at}fc1`, ['intermediate']],
    [`${at}fc2`, ['output']],
  ]),
  ['self_attn_layer_norm', ['attention_layernorm']],
  ['final_layer_norm', ['output_layernorm']],
]);

/**
 * The kinds of bias that a module's is: several where one tensor holds them all. Goes by the whole name of the module
 * within its layer, so that `output.dense` is not `attention.output.dense`.
 */
export function biasTermsOf({ path, layer }: Pick<Matchable, 'path' | 'layer'>): readonly BiasTerm[] {
  if (layer !== undefined) return MODULES.get(/\.\d+\.(.+)$/.exec(path)?.[1] ?? '') ?? [];
  return /(^|\.)(embeddings\.LayerNorm|word_embeddings_layernorm)$/.test(path) ? ['embeddings'] : ['head'];
}
