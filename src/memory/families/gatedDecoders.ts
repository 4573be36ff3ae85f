/**
 * Decoders with RMSNorm and a gated feed-forward network: Llama, Mistral, Mixtral, Qwen 2 and 3, Gemma 1 to 3, Phi-3.
 * Names and defaults as in Transformers' configuration classes of each.
 */
import * as l10n from '@vscode/l10n';
import type { ConfigReader } from '../../models/configReader.js';
import { embedding, linear, norm, outputLayer } from '../modelShape.js';
import type { AttentionShape, ModelShape, ShapeModule } from '../modelShape.js';
import { activationOf, drops, headsOf } from './common.js';

interface Traits {
  readonly modelType: string;
  readonly tied: boolean;
  readonly attention: AttentionShape;
  readonly queryKeyValueBias: boolean;
  readonly outputBias?: boolean;
  readonly feedForwardBias?: boolean;
  readonly headNorms?: boolean;
  /** Norms behind attention and feed-forward, too (Gemma 2 and 3). */
  readonly fourNorms?: boolean;
  readonly fused?: boolean;
  readonly gemma?: boolean;
  readonly softCap?: boolean;
  readonly experts?: { readonly count: number; readonly active: number };
  readonly activation?: string;
}

export function llama(config: ConfigReader): ModelShape {
  const bias = config.flag('attention_bias', false);
  return gated(config, {
    modelType: 'llama',
    tied: config.flag('tie_word_embeddings', false),
    attention: headsOf(config, config.count('hidden_size')),
    queryKeyValueBias: bias,
    outputBias: bias,
    feedForwardBias: config.flag('mlp_bias', false),
  });
}

export function mistral(config: ConfigReader): ModelShape {
  return gated(config, {
    modelType: 'mistral',
    tied: config.flag('tie_word_embeddings', false),
    attention: headsOf(config, config.count('hidden_size')),
    queryKeyValueBias: false,
  });
}

export function mixtral(config: ConfigReader): ModelShape {
  const count = config.count('num_local_experts', 8);
  const active = config.count('num_experts_per_tok', 2);
  if (active > count) config.wrong('num_experts_per_tok', l10n.t`at most num_local_experts, ${count}`);
  return gated(config, {
    modelType: 'mixtral',
    tied: config.flag('tie_word_embeddings', false),
    attention: headsOf(config, config.count('hidden_size')),
    queryKeyValueBias: false,
    experts: { count, active },
  });
}

export function qwen2(config: ConfigReader): ModelShape {
  return gated(config, {
    modelType: 'qwen2',
    tied: config.flag('tie_word_embeddings', false),
    attention: headsOf(config, config.count('hidden_size')),
    queryKeyValueBias: true,
  });
}

/** Qwen 3: no bias, a norm over each head of queries and keys, heads of 128 whatever the width. */
export function qwen3(config: ConfigReader): ModelShape {
  const bias = config.flag('attention_bias', false);
  return gated(config, {
    modelType: 'qwen3',
    tied: config.flag('tie_word_embeddings', false),
    attention: headsOf(config, config.count('hidden_size'), 128),
    queryKeyValueBias: bias,
    outputBias: bias,
    headNorms: true,
  });
}

/** Gemma 1 to 3 share heads of 256 and tied embeddings; 2 has four norms a layer, 3 norms over heads, too. */
export function gemma(config: ConfigReader, generation: 1 | 2 | 3): ModelShape {
  const bias = config.flag('attention_bias', false);
  return gated(config, {
    modelType: generation === 1 ? 'gemma' : `gemma${generation}`,
    tied: config.flag('tie_word_embeddings', true),
    attention: headsOf(config, config.count('hidden_size'), 256),
    queryKeyValueBias: bias,
    outputBias: bias,
    gemma: true,
    softCap: generation === 2 && config.raw['attn_logit_softcapping'] !== null,
    fourNorms: generation > 1,
    headNorms: generation === 3,
    activation: 'gelu_pytorch_tanh',
  });
}

/** Phi-3: queries, keys and values in one matrix, gate and up in one. */
export function phi3(config: ConfigReader): ModelShape {
  return gated(config, {
    modelType: 'phi3',
    tied: config.flag('tie_word_embeddings', false),
    attention: headsOf(config, config.count('hidden_size')),
    queryKeyValueBias: false,
    fused: true,
  });
}

function gated(config: ConfigReader, traits: Traits): ModelShape {
  const hidden = config.count('hidden_size');
  const width = config.count('intermediate_size');
  const vocab = config.count('vocab_size');
  const { attention, modelType } = traits;
  return {
    modelType,
    hidden,
    vocab,
    blocks: [
      {
        name: 'model.layers',
        side: 'decoder',
        layers: config.count('num_hidden_layers'),
        modules: [
          norm('input_layernorm', hidden),
          ...attentionModules(hidden, traits),
          norm('post_attention_layernorm', hidden),
          ...(traits.fourNorms
            ? [norm('pre_feedforward_layernorm', hidden), norm('post_feedforward_layernorm', hidden)]
            : []),
          ...feedForwardModules(hidden, width, traits),
        ],
        norm: traits.gemma ? 'gemma' : 'rms',
        attention: { ...attention, fused: traits.fused ?? false },
        scores: { float32: true, softCap: traits.softCap ?? false },
        crossAttention: false,
        feedForward: {
          width,
          gated: true,
          activation: activationOf(traits.activation ?? config.text('hidden_act', 'silu')),
          active: traits.experts?.active ?? 1,
        },
        dropout: { hidden: false, attention: drops(config, ['attention_dropout'], 0), feedForward: false },
      },
    ],
    outside: [
      embedding('model.embed_tokens', vocab, hidden),
      norm('model.norm', hidden),
      outputLayer('lm_head', hidden, vocab, traits.tied ? 'model.embed_tokens' : undefined),
    ],
    logits: true,
    leftOut: [],
  };
}

function attentionModules(hidden: number, traits: Traits): readonly ShapeModule[] {
  const { heads, keyValueHeads, headDim } = traits.attention;
  const queries = heads * headDim;
  const keys = keyValueHeads * headDim;
  const bias = traits.queryKeyValueBias;
  const output = linear('self_attn.o_proj', queries, hidden, 'attention-output', {
    bias: traits.outputBias ?? false,
  });
  if (traits.fused) {
    return [linear('self_attn.qkv_proj', hidden, queries + 2 * keys, 'attention', { bias }), output];
  }
  return [
    linear('self_attn.q_proj', hidden, queries, 'attention', { bias }),
    linear('self_attn.k_proj', hidden, keys, 'attention', { bias }),
    linear('self_attn.v_proj', hidden, keys, 'attention', { bias }),
    output,
    ...(traits.headNorms
      ? [norm('self_attn.q_norm', headDim, false, heads), norm('self_attn.k_norm', headDim, false, keyValueHeads)]
      : []),
  ];
}

function feedForwardModules(hidden: number, width: number, traits: Traits): readonly ShapeModule[] {
  if (traits.experts !== undefined) {
    const { count, active } = traits.experts;
    const each = { copies: count, active };
    return [
      linear('block_sparse_moe.gate', hidden, count, 'feed-forward'),
      linear('block_sparse_moe.experts.w1', hidden, width, 'expert', each),
      linear('block_sparse_moe.experts.w3', hidden, width, 'expert', each),
      linear('block_sparse_moe.experts.w2', width, hidden, 'feed-forward-output', each),
    ];
  }
  const bias = traits.feedForwardBias ?? false;
  const down = linear('mlp.down_proj', width, hidden, 'feed-forward-output', { bias });
  if (traits.fused) return [linear('mlp.gate_up_proj', hidden, 2 * width, 'feed-forward'), down];
  return [
    linear('mlp.gate_proj', hidden, width, 'feed-forward', { bias }),
    linear('mlp.up_proj', hidden, width, 'feed-forward', { bias }),
    down,
  ];
}
