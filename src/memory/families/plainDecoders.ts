/**
 * Decoders with LayerNorm and a plain feed-forward network: GPT-2, GPT-NeoX, Falcon, BLOOM, OPT, Phi.
 * Names and defaults as in Transformers' configuration classes of each.
 */
import * as l10n from '@vscode/l10n';
import type { ConfigReader } from '../../models/configReader.js';
import { embedding, linear, norm, outputLayer } from '../modelShape.js';
import type { AttentionShape, Block, ModelShape, ShapeModule } from '../modelShape.js';
import { activationOf, drops, headsOf } from './common.js';

/** OPT's table of positions begins with two rows that no position uses. */
const OPT_POSITION_OFFSET = 2;

export function gpt2(config: ConfigReader): ModelShape {
  const hidden = config.count('n_embd', 768);
  const vocab = config.count('vocab_size', 50257);
  const width = config.count('n_inner', 4 * hidden);
  const heads = config.count('n_head', 12);
  const tied = config.flag('tie_word_embeddings', true);
  return {
    modelType: 'gpt2',
    hidden,
    vocab,
    blocks: [
      decoder({
        name: 'transformer.h',
        layers: config.count('n_layer', 12),
        modules: [
          norm('ln_1', hidden, true),
          linear('attn.c_attn', hidden, 3 * hidden, 'attention', { bias: true }),
          linear('attn.c_proj', hidden, hidden, 'attention-output', { bias: true }),
          norm('ln_2', hidden, true),
          linear('mlp.c_fc', hidden, width, 'feed-forward', { bias: true }),
          linear('mlp.c_proj', width, hidden, 'feed-forward-output', { bias: true }),
        ],
        attention: equalHeads(config, 'n_head', heads, hidden),
        width,
        activation: config.text('activation_function', 'gelu_new'),
        hiddenDropout: drops(config, ['resid_pdrop'], 0.1),
        attentionDropout: drops(config, ['attn_pdrop'], 0.1),
        float32Scores: false,
      }),
    ],
    outside: [
      embedding('transformer.wte', vocab, hidden),
      embedding('transformer.wpe', config.count('n_positions', 1024), hidden),
      norm('transformer.ln_f', hidden, true),
      outputLayer('lm_head', hidden, vocab, tied ? 'transformer.wte' : undefined),
    ],
    logits: true,
    leftOut: [],
  };
}

export function gptNeoX(config: ConfigReader): ModelShape {
  const hidden = config.count('hidden_size');
  const vocab = config.count('vocab_size');
  const width = config.count('intermediate_size');
  const bias = config.flag('attention_bias', true);
  const parallel = config.flag('use_parallel_residual', true);
  const attention = { ...headsOf(config, hidden), fused: true };
  return {
    modelType: 'gpt_neox',
    hidden,
    vocab,
    blocks: [
      decoder({
        name: 'gpt_neox.layers',
        layers: config.count('num_hidden_layers'),
        modules: [
          norm('input_layernorm', hidden, true, 1, 'residual'),
          norm('post_attention_layernorm', hidden, true, 1, parallel ? 'residual' : 'between'),
          linear('attention.query_key_value', hidden, 3 * hidden, 'attention', { bias }),
          linear('attention.dense', hidden, hidden, 'attention-output', { bias }),
          linear('mlp.dense_h_to_4h', hidden, width, 'feed-forward', { bias: true }),
          linear('mlp.dense_4h_to_h', width, hidden, 'feed-forward-output', { bias: true }),
        ],
        attention,
        width,
        activation: config.text('hidden_act', 'gelu'),
        hiddenDropout: drops(config, ['hidden_dropout'], 0),
        attentionDropout: drops(config, ['attention_dropout'], 0),
      }),
    ],
    outside: [
      embedding('gpt_neox.embed_in', vocab, hidden),
      norm('gpt_neox.final_layer_norm', hidden, true),
      outputLayer('embed_out', hidden, vocab, tiedTo(config, false, 'gpt_neox.embed_in')),
    ],
    logits: true,
    leftOut: [],
  };
}

/** Falcon: one key and value head with `multi_query`, `num_kv_heads` with the new architecture, else one per head. */
export function falcon(config: ConfigReader): ModelShape {
  const hidden = config.count('hidden_size');
  const vocab = config.count('vocab_size');
  const width = config.count('ffn_hidden_size', 4 * hidden);
  const fresh = config.flag('new_decoder_architecture', false);
  const bias = config.flag('bias', false);
  const heads = config.count('num_attention_heads');
  const { headDim } = equalHeads(config, 'num_attention_heads', heads, hidden);
  const multiQuery = config.flag('multi_query', true);
  const keyValueHeads = fresh ? config.count('num_kv_heads', heads) : multiQuery ? 1 : heads;
  const twoNorms = fresh ? config.count('num_ln_in_parallel_attn', 2) === 2 : !config.flag('parallel_attn', true);
  return {
    modelType: 'falcon',
    hidden,
    vocab,
    blocks: [
      decoder({
        name: 'transformer.h',
        layers: config.count('num_hidden_layers'),
        modules: [
          norm(fresh && twoNorms ? 'ln_attn' : 'input_layernorm', hidden, true, 1, 'residual'),
          ...(twoNorms
            ? [
                fresh
                  ? norm('ln_mlp', hidden, true, 1, 'residual')
                  : norm('post_attention_layernorm', hidden, true),
              ]
            : []),
          linear('self_attention.query_key_value', hidden, (heads + 2 * keyValueHeads) * headDim, 'attention', {
            bias,
          }),
          linear('self_attention.dense', hidden, hidden, 'attention-output', { bias }),
          linear('mlp.dense_h_to_4h', hidden, width, twoNorms ? 'feed-forward' : 'attention', { bias }),
          linear('mlp.dense_4h_to_h', width, hidden, 'feed-forward-output', { bias }),
        ],
        attention: { heads, keyValueHeads, headDim },
        float32Scores: false,
        width,
        activation: config.text('activation', 'gelu'),
        hiddenDropout: drops(config, ['hidden_dropout'], 0),
        attentionDropout: drops(config, ['attention_dropout'], 0),
      }),
    ],
    outside: [
      embedding('transformer.word_embeddings', vocab, hidden),
      norm('transformer.ln_f', hidden, true),
      outputLayer('lm_head', hidden, vocab, tiedTo(config, true, 'transformer.word_embeddings')),
    ],
    logits: true,
    leftOut: [],
  };
}

export function bloom(config: ConfigReader): ModelShape {
  const hidden = config.has('n_embed') ? config.count('n_embed') : config.count('hidden_size');
  const vocab = config.count('vocab_size');
  const headKey = config.has('num_attention_heads') ? 'num_attention_heads' : 'n_head';
  const heads = config.count(headKey);
  const width = 4 * hidden;
  return {
    modelType: 'bloom',
    hidden,
    vocab,
    blocks: [
      decoder({
        name: 'transformer.h',
        layers: config.has('n_layer') ? config.count('n_layer') : config.count('num_hidden_layers'),
        modules: [
          norm('input_layernorm', hidden, true),
          linear('self_attention.query_key_value', hidden, 3 * hidden, 'attention', { bias: true }),
          linear('self_attention.dense', hidden, hidden, 'attention-output', { bias: true }),
          norm('post_attention_layernorm', hidden, true),
          linear('mlp.dense_h_to_4h', hidden, width, 'feed-forward', { bias: true }),
          linear('mlp.dense_4h_to_h', width, hidden, 'feed-forward-output', { bias: true }),
        ],
        attention: equalHeads(config, headKey, heads, hidden),
        width,
        activation: 'gelu',
        hiddenDropout: drops(config, ['hidden_dropout'], 0),
        attentionDropout: drops(config, ['attention_dropout'], 0),
      }),
    ],
    outside: [
      embedding('transformer.word_embeddings', vocab, hidden),
      norm('transformer.word_embeddings_layernorm', hidden, true),
      norm('transformer.ln_f', hidden, true),
      outputLayer('lm_head', hidden, vocab, tiedTo(config, true, 'transformer.word_embeddings')),
    ],
    logits: true,
    leftOut: [],
  };
}

export function opt(config: ConfigReader): ModelShape {
  const hidden = config.count('hidden_size');
  const vocab = config.count('vocab_size');
  const width = config.count('ffn_dim');
  const token = config.count('word_embed_proj_dim', hidden);
  const bias = config.flag('enable_bias', true);
  const affine = config.flag('layer_norm_elementwise_affine', true);
  if (!affine) config.unsupported('layer_norm_elementwise_affine', 'true');
  const finalNorm = config.flag('do_layer_norm_before', true) && !config.flag('_remove_final_layer_norm', false);
  const projection = (name: string): ShapeModule =>
    linear(`self_attn.${name}`, hidden, hidden, name === 'out_proj' ? 'attention-output' : 'attention', { bias });
  return {
    modelType: 'opt',
    hidden,
    vocab,
    blocks: [
      decoder({
        name: 'model.decoder.layers',
        layers: config.count('num_hidden_layers'),
        modules: [
          norm('self_attn_layer_norm', hidden, true),
          ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].map(projection),
          norm('final_layer_norm', hidden, true),
          linear('fc1', hidden, width, 'feed-forward', { bias }),
          linear('fc2', width, hidden, 'feed-forward-output', { bias }),
        ],
        attention: equalHeads(config, 'num_attention_heads', config.count('num_attention_heads'), hidden),
        width,
        activation: config.text('activation_function', 'relu'),
        hiddenDropout: drops(config, ['dropout'], 0.1),
        attentionDropout: drops(config, ['attention_dropout'], 0),
      }),
    ],
    outside: [
      embedding('model.decoder.embed_tokens', vocab, token),
      embedding(
        'model.decoder.embed_positions',
        config.count('max_position_embeddings') + OPT_POSITION_OFFSET,
        hidden,
      ),
      ...(token === hidden
        ? []
        : [
            linear('model.decoder.project_in', token, hidden, 'embedding'),
            linear('model.decoder.project_out', hidden, token, 'head'),
          ]),
      ...(finalNorm ? [norm('model.decoder.final_layer_norm', hidden, true)] : []),
      outputLayer('lm_head', token, vocab, tiedTo(config, true, 'model.decoder.embed_tokens')),
    ],
    logits: true,
    leftOut: [],
  };
}

/** Phi-1 to Phi-2: attention and feed-forward read one norm, and the output layer has a bias. */
export function phi(config: ConfigReader): ModelShape {
  const hidden = config.count('hidden_size');
  const vocab = config.count('vocab_size');
  const width = config.count('intermediate_size');
  const attention = headsOf(config, hidden);
  const keys = attention.keyValueHeads * attention.headDim;
  const queries = attention.heads * attention.headDim;
  const headNorms = config.flag('qk_layernorm', false);
  const { headDim, heads, keyValueHeads } = attention;
  return {
    modelType: 'phi',
    hidden,
    vocab,
    blocks: [
      decoder({
        name: 'model.layers',
        layers: config.count('num_hidden_layers'),
        modules: [
          norm('input_layernorm', hidden, true),
          linear('self_attn.q_proj', hidden, queries, 'attention', { bias: true }),
          linear('self_attn.k_proj', hidden, keys, 'attention', { bias: true }),
          linear('self_attn.v_proj', hidden, keys, 'attention', { bias: true }),
          linear('self_attn.dense', queries, hidden, 'attention-output', { bias: true }),
          ...(headNorms
            ? [
                norm('self_attn.q_layernorm', headDim, true, heads),
                norm('self_attn.k_layernorm', headDim, true, keyValueHeads),
              ]
            : []),
          linear('mlp.fc1', hidden, width, 'attention', { bias: true }),
          linear('mlp.fc2', width, hidden, 'feed-forward-output', { bias: true }),
        ],
        attention,
        width,
        activation: config.text('hidden_act', 'gelu_new'),
        hiddenDropout: drops(config, ['resid_pdrop'], 0),
        attentionDropout: drops(config, ['attention_dropout'], 0),
      }),
    ],
    outside: [
      embedding('model.embed_tokens', vocab, hidden),
      norm('model.final_layernorm', hidden, true),
      // A bias stays of its own even where the matrix is shared with the embeddings.
      outputLayer('lm_head', hidden, vocab, tiedTo(config, false, 'model.embed_tokens'), true),
    ],
    logits: true,
    leftOut: [],
  };
}

function decoder(parts: {
  readonly name: string;
  readonly layers: number;
  readonly modules: readonly ShapeModule[];
  readonly attention: AttentionShape;
  readonly width: number;
  readonly activation: string;
  readonly hiddenDropout: boolean;
  readonly attentionDropout: boolean;
  /** False for those whose eager softmax stays in the compute type. */
  readonly float32Scores?: boolean;
}): Block {
  const { name, layers, modules, attention, width } = parts;
  return {
    name,
    side: 'decoder',
    layers,
    modules,
    norm: 'layer',
    attention,
    scores: { float32: parts.float32Scores ?? true, softCap: false },
    crossAttention: false,
    feedForward: { width, gated: false, activation: activationOf(parts.activation), active: 1 },
    dropout: { hidden: parts.hiddenDropout, attention: parts.attentionDropout, feedForward: false },
  };
}

function equalHeads(config: ConfigReader, key: string, heads: number, hidden: number): AttentionShape {
  if (hidden % heads !== 0) config.wrong(key, l10n.t`a divisor of the hidden size, ${hidden}`);
  return { heads, keyValueHeads: heads, headDim: hidden / heads };
}

/** The embeddings whose matrix the output layer uses, where the config says that it does. */
function tiedTo(config: ConfigReader, absent: boolean, embeddings: string): string | undefined {
  return config.flag('tie_word_embeddings', absent) ? embeddings : undefined;
}
