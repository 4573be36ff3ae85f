/** The smallest models that the readers take: a config, and the shapes of its tensors. */
export interface TinyModel {
  readonly config: Readonly<Record<string, unknown>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

const CONFIG = {
  hidden_size: 4,
  intermediate_size: 6,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  num_hidden_layers: 1,
  head_dim: 2,
  vocab_size: 5,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: false,
};
const LAYER = 'model.layers.0';
const BODY = {
  'model.embed_tokens.weight': [5, 4],
  [`${LAYER}.input_layernorm.weight`]: [4],
  [`${LAYER}.self_attn.q_proj.weight`]: [4, 4],
  [`${LAYER}.self_attn.k_proj.weight`]: [2, 4],
  [`${LAYER}.self_attn.v_proj.weight`]: [2, 4],
  [`${LAYER}.self_attn.o_proj.weight`]: [4, 4],
  [`${LAYER}.post_attention_layernorm.weight`]: [4],
  [`${LAYER}.mlp.gate_proj.weight`]: [6, 4],
  [`${LAYER}.mlp.up_proj.weight`]: [6, 4],
  [`${LAYER}.mlp.down_proj.weight`]: [4, 6],
  'model.norm.weight': [4],
};
const HEAD_NORMS = { [`${LAYER}.self_attn.q_norm.weight`]: [2], [`${LAYER}.self_attn.k_norm.weight`]: [2] };
const SANDWICH = {
  [`${LAYER}.pre_feedforward_layernorm.weight`]: [4],
  [`${LAYER}.post_feedforward_layernorm.weight`]: [4],
};

export const LLAMA: TinyModel = {
  config: {
    ...CONFIG,
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  },
  shapes: { ...BODY, 'lm_head.weight': [5, 4] },
};

const QWEN_2: TinyModel = {
  config: {
    ...CONFIG,
    model_type: 'qwen2',
    hidden_act: 'silu',
    use_sliding_window: true,
    sliding_window: 5,
    max_window_layers: 0,
    layer_types: ['sliding_attention'],
    rope_parameters: { rope_theta: 1000000, rope_type: 'default' },
  },
  shapes: {
    ...LLAMA.shapes,
    [`${LAYER}.self_attn.q_proj.bias`]: [4],
    [`${LAYER}.self_attn.k_proj.bias`]: [2],
    [`${LAYER}.self_attn.v_proj.bias`]: [2],
  },
};

const QWEN_3: TinyModel = {
  config: { ...CONFIG, model_type: 'qwen3', hidden_act: 'silu', attention_bias: false },
  shapes: { ...LLAMA.shapes, ...HEAD_NORMS },
};

const GEMMA_2: TinyModel = {
  config: {
    ...CONFIG,
    model_type: 'gemma2',
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: 20,
    attn_logit_softcapping: 3,
    final_logit_softcapping: 4,
    sliding_window: 5,
    tie_word_embeddings: true,
  },
  shapes: { ...BODY, ...SANDWICH },
};

const GEMMA_3: TinyModel = {
  config: {
    ...CONFIG,
    model_type: 'gemma3_text',
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: 20,
    sliding_window: 5,
    sliding_window_pattern: 3,
    layer_types: ['sliding_attention'],
    rope_parameters: {
      full_attention: { factor: 4, rope_theta: 100000, rope_type: 'linear' },
      sliding_attention: { rope_theta: 100, rope_type: 'default' },
    },
    tie_word_embeddings: true,
  },
  shapes: { ...BODY, ...SANDWICH, ...HEAD_NORMS },
};

const GPT_2: TinyModel = {
  config: {
    model_type: 'gpt2',
    activation_function: 'gelu_new',
    n_embd: 4,
    n_head: 2,
    n_inner: 6,
    n_layer: 1,
    n_positions: 16,
    vocab_size: 5,
    layer_norm_epsilon: 1e-5,
    scale_attn_weights: true,
  },
  shapes: {
    'wte.weight': [5, 4],
    'wpe.weight': [16, 4],
    'h.0.ln_1.weight': [4],
    'h.0.ln_1.bias': [4],
    'h.0.attn.c_attn.weight': [4, 12],
    'h.0.attn.c_attn.bias': [12],
    'h.0.attn.c_proj.weight': [4, 4],
    'h.0.attn.c_proj.bias': [4],
    'h.0.ln_2.weight': [4],
    'h.0.ln_2.bias': [4],
    'h.0.mlp.c_fc.weight': [4, 6],
    'h.0.mlp.c_fc.bias': [6],
    'h.0.mlp.c_proj.weight': [6, 4],
    'h.0.mlp.c_proj.bias': [4],
    'ln_f.weight': [4],
    'ln_f.bias': [4],
  },
};

export const TINY_MODELS: readonly TinyModel[] = [LLAMA, QWEN_2, QWEN_3, GEMMA_2, GEMMA_3, GPT_2];
