import type { JsonObject } from '../common/json.js';
import type { GgufFields } from './ggufFields.js';
import { shortest } from './ggufFields.js';

/** What the metadata of every architecture give. */
export interface GgufSizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly intermediateSize: number;
}

/** How an architecture of llama.cpp lies in a GGUF file, and what it is to Transformers. */
export interface GgufArchitecture {
  readonly modelType: string;
  readonly className: string;
  /** Within a layer: blk.N.<name>.weight is model.layers.N.<module>.weight. */
  readonly layerNames: ReadonlyMap<string, string>;
  /** Rows of q and k are stored as the pairs that are turned together. */
  readonly pairedRows: boolean;
  /** What the converter adds to the weights of norms. */
  readonly normOffset: 0 | 1;
  /** Whether it may have an output layer of its own. */
  readonly ownHead: boolean;
  /**
   * Keys of `config.json` beside those that all have.
   *
   * @param field metadata under the architecture's prefix
   * @param has whether the file has a tensor, by its Hugging Face name
   */
  config(field: GgufFields, sizes: GgufSizes, has: (name: string) => boolean): JsonObject;
}

const LLAMA_NAMES = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};
const HEAD_NORMS = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' };
const SANDWICH_NAMES = {
  ...LLAMA_NAMES,
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};
const GELU: JsonObject = { hidden_act: 'gelu_pytorch_tanh', hidden_activation: 'gelu_pytorch_tanh' };
const FIRST_BIAS = 'model.layers.0.self_attn.q_proj.bias';

const llama: GgufArchitecture = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  layerNames: new Map(Object.entries(LLAMA_NAMES)),
  pairedRows: true,
  normOffset: 0,
  ownHead: true,
  config: (_field, _sizes, has) => ({
    hidden_act: 'silu',
    attention_bias: has(FIRST_BIAS),
    mlp_bias: has('model.layers.0.mlp.gate_proj.bias'),
  }),
};

/** The converter leaves Qwen's windows out, and llama.cpp has none for it. */
const QWEN: JsonObject = { hidden_act: 'silu', use_sliding_window: false };

const qwen2: GgufArchitecture = {
  ...llama,
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  pairedRows: false,
  config: () => QWEN,
};

const qwen3: GgufArchitecture = {
  ...qwen2,
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  layerNames: new Map(Object.entries({ ...LLAMA_NAMES, ...HEAD_NORMS })),
  config: (_field, _sizes, has) => ({ ...QWEN, attention_bias: has(FIRST_BIAS) }),
};

const gemma: GgufArchitecture = {
  ...llama,
  modelType: 'gemma',
  className: 'GemmaForCausalLM',
  pairedRows: false,
  normOffset: 1,
  ownHead: false,
  config: () => GELU,
};

const gemma2: GgufArchitecture = {
  ...gemma,
  modelType: 'gemma2',
  className: 'Gemma2ForCausalLM',
  layerNames: new Map(Object.entries(SANDWICH_NAMES)),
  config: (field, sizes) => ({
    ...GELU,
    query_pre_attn_scalar: scoreScalar(sizes, 46),
    sliding_window: field.optionalSize('attention.sliding_window') ?? 4096,
    ...layerTypes(field, sizes.layers, 2),
    attn_logit_softcapping: cap(field, 'attn_logit_softcapping', 50),
    final_logit_softcapping: cap(field, 'final_logit_softcapping', 30),
  }),
};

const gemma3: GgufArchitecture = {
  ...gemma,
  modelType: 'gemma3_text',
  ownHead: true,
  className: 'Gemma3ForCausalLM',
  layerNames: new Map(Object.entries({ ...SANDWICH_NAMES, ...HEAD_NORMS })),
  config(field, sizes) {
    const window = field.optionalSize('attention.sliding_window');
    return {
      ...GELU,
      query_pre_attn_scalar: scoreScalar(sizes, 62),
      sliding_window: window ?? null,
      // Without a window every layer sees everything.
      ...(window === undefined ? { sliding_window_pattern: 1 } : layerTypes(field, sizes.layers, 6)),
      rope_local_base_freq: shortest(field.optionalNumber('rope.freq_base_swa') ?? 10_000),
      final_logit_softcapping: cap(field, 'final_logit_softcapping', null),
    };
  },
};

/** By the name in `general.architecture`. */
export const GGUF_ARCHITECTURES: ReadonlyMap<string, GgufArchitecture> = new Map(
  Object.entries({ llama, qwen2, qwen3, gemma, gemma2, gemma3 }),
);

/**
 * `query_pre_attn_scalar` is not in the file: it is the size of a head but for the largest model of the version
 * (27B), known by its layers, as llama.cpp has it.
 */
function scoreScalar({ hiddenSize, heads, headDim, layers }: GgufSizes, layersOfLargest: number): number {
  return layers === layersOfLargest ? Math.floor(hiddenSize / heads) : headDim;
}

/** Which layers have a window: a flag for each, or a period; where the file has neither, that of the version. */
function layerTypes(field: GgufFields, layers: number, usual: number): JsonObject {
  const key = 'attention.sliding_window_pattern';
  const given = field.value(key);
  const flags = Array.isArray(given) ? field.flags(key, layers) : undefined;
  const period = flags === undefined ? (field.optionalSize(key) ?? usual) : usual;
  const slides = (layer: number): boolean => flags?.[layer] ?? (layer + 1) % period !== 0;
  return {
    layer_types: Array.from({ length: layers }, (_, layer) =>
      slides(layer) ? 'sliding_attention' : 'full_attention',
    ),
  };
}

/** A soft cap; files that leave it out mean the version's. */
function cap(field: GgufFields, key: string, usual: number | null): number | null {
  const found = field.optionalNumber(key);
  return found === undefined ? usual : shortest(found);
}
