import type { ConfigReader } from '../../models/configReader.js';
import { embedding, linear, norm, outputLayer } from '../modelShape.js';
import type { Block, ModelShape, ShapeModule } from '../modelShape.js';
import { activationOf, drops } from './common.js';

/** T5, T0, Flan-T5 and mT5: the config says whether feed-forward is gated (v1.1 on) and embeddings are tied. */
export function t5(config: ConfigReader, modelType: 't5' | 'mt5'): ModelShape {
  const hidden = config.count('d_model');
  const vocab = config.count('vocab_size');
  const heads = config.count('num_heads');
  const layers = config.count('num_layers');
  const buckets = config.count('relative_attention_num_buckets', 32);
  const tied = config.flag('tie_word_embeddings', modelType === 't5');
  const positions = (side: string): ShapeModule =>
    embedding(`${side}.block.0.layer.0.SelfAttention.relative_attention_bias`, buckets, heads);
  return {
    modelType,
    hidden,
    vocab,
    blocks: [side(config, 'encoder', layers), side(config, 'decoder', config.count('num_decoder_layers', layers))],
    outside: [
      embedding('shared', vocab, hidden),
      positions('encoder'),
      positions('decoder'),
      norm('encoder.final_layer_norm', hidden),
      norm('decoder.final_layer_norm', hidden),
      outputLayer('lm_head', hidden, vocab, tied ? 'shared' : undefined),
    ],
    logits: true,
    leftOut: [],
  };
}

function side(config: ConfigReader, which: 'encoder' | 'decoder', layers: number): Block {
  const hidden = config.count('d_model');
  const width = config.count('d_ff');
  const heads = config.count('num_heads');
  const headDim = config.count('d_kv');
  const inner = heads * headDim;
  const named = config.text('feed_forward_proj', 'relu');
  const gated = named.startsWith('gated-');
  const attention = (layer: number, name: string): readonly ShapeModule[] => {
    const at = `layer.${layer}.${name}`;
    const memory = name === 'EncDecAttention' ? 'encoder-output' : 'attention';
    return [
      linear(`${at}.q`, hidden, inner, layer === 0 ? 'attention' : 'cross-attention'),
      linear(`${at}.k`, hidden, inner, memory),
      linear(`${at}.v`, hidden, inner, memory),
      linear(`${at}.o`, inner, hidden, layer === 0 ? 'attention-output' : 'cross-attention-output'),
      norm(`layer.${layer}.layer_norm`, hidden),
    ];
  };
  const last = which === 'encoder' ? 1 : 2;
  const inputs = gated ? ['wi_0', 'wi_1'] : ['wi'];
  const drop = drops(config, ['dropout_rate'], 0.1);
  return {
    name: `${which}.block`,
    side: which,
    layers,
    modules: [
      ...attention(0, 'SelfAttention'),
      ...(which === 'decoder' ? attention(1, 'EncDecAttention') : []),
      ...inputs.map((name) => linear(`layer.${last}.DenseReluDense.${name}`, hidden, width, 'feed-forward')),
      linear(`layer.${last}.DenseReluDense.wo`, width, hidden, 'feed-forward-output'),
      norm(`layer.${last}.layer_norm`, hidden),
    ],
    norm: 't5',
    attention: { heads, keyValueHeads: heads, headDim },
    scores: { float32: false, softCap: false },
    crossAttention: which === 'decoder',
    // Transformers' T5 replaces gated-gelu by gelu_new.
    feedForward: {
      width,
      gated,
      activation: named === 'gated-gelu' ? 'gelu_new' : activationOf(named.replace('gated-', '')),
      active: 1,
    },
    dropout: { hidden: drop, attention: drop, feedForward: drop },
  };
}
