/** Which modules (IA)³ scales in a model when the run file does not say. */
export interface Ia3Modules {
  readonly targets: readonly string[];
  /** Of them, those whose input is scaled. */
  readonly feedforward: readonly string[];
}

function modules(targets: readonly string[], ...feedforward: readonly string[]): Ia3Modules {
  return { targets: [...targets, ...feedforward], feedforward };
}

const LLAMA = modules(['k_proj', 'v_proj'], 'down_proj');
/** PEFT takes the queries of these, where the paper has keys. */
const QUERIES = modules(['q_proj', 'v_proj'], 'down_proj');
const BERT = modules(['key', 'value'], 'output.dense');
const FALCON = modules(['query_key_value'], 'dense_4h_to_h');

/** HF PEFT's tables by `model_type` (`TRANSFORMERS_MODELS_TO_IA3_…_MODULES_MAPPING`, PEFT 0.21). */
const DEFAULTS: Readonly<Record<string, Ia3Modules>> = {
  llama: LLAMA,
  llama4: QUERIES,
  mistral: LLAMA,
  mixtral: modules(['k_proj', 'v_proj'], 'w2'),
  qwen2: QUERIES,
  qwen3: QUERIES,
  gemma: QUERIES,
  gemma2: QUERIES,
  gemma3_text: QUERIES,
  phi: modules(['q_proj', 'v_proj'], 'fc2'),
  gpt2: modules(['c_attn'], 'mlp.c_proj'),
  gpt_bigcode: modules(['c_attn'], 'mlp.c_proj'),
  gpt_neo: modules(['q_proj', 'v_proj'], 'c_proj'),
  gpt_neox: FALCON,
  gptj: modules(['q_proj', 'v_proj'], 'fc_out'),
  bloom: modules(['query_key_value'], 'mlp.dense_4h_to_h'),
  falcon: FALCON,
  opt: modules(['q_proj', 'k_proj'], 'fc2'),
  bert: BERT,
  roberta: BERT,
  deberta: modules(['in_proj'], 'output.dense'),
  'deberta-v2': modules(['key_proj', 'value_proj'], 'output.dense'),
  bart: modules(['q_proj', 'v_proj'], 'fc2'),
  t5: modules(['k', 'v'], 'wo'),
  mt5: { targets: ['k', 'v', 'wi_1'], feedforward: [] },
};

/** Undefined for a model that PEFT has no modules for. */
export function ia3Defaults(modelType: string): Ia3Modules | undefined {
  return Object.hasOwn(DEFAULTS, modelType) ? DEFAULTS[modelType] : undefined;
}
