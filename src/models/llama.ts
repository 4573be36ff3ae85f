import type { JsonObject } from '../common/json.js';
import { silu } from '../tensor/ops/elementwise.js';
import type { Architecture, BuiltModel } from './architecture.js';
import { configReader, orNone } from './configReader.js';
import { readActivation, readSizes, repeated } from './decoderConfig.js';
import { readRope } from './rope.js';
import { rotaryDecoder } from './rotaryDecoder.js';

/** Llama 1–3, SmolLM, Mistral: pre-norm decoder with rotary positions and a gated feed-forward part. */
export const llama: Architecture = {
  kind: 'decoder',
  tasks: ['CAUSAL_LM'],
  modelTypes: ['llama', 'mistral'],
  dropouts: { attention_dropout: 0 },
  read(config: JsonObject, tensors, source): BuiltModel {
    const read = configReader(config, source);
    const modelType = read.text('model_type', 'llama');
    readActivation(read, 'hidden_act', ['silu']);
    const sizes = readSizes(read, { maxPositions: 2048 });
    // Transformers reads these keys for one of the two only: a Llama with a window attends to everything.
    const isMistral = modelType === 'mistral';
    const window = isMistral
      ? orNone(read, 'sliding_window', () => read.count('sliding_window', MISTRAL_WINDOW))
      : undefined;
    const attentionBias = !isMistral && read.flag('attention_bias', false);
    const feedForwardBias = !isMistral && read.flag('mlp_bias', false);
    return rotaryDecoder(
      {
        ...sizes,
        modelType,
        layers: repeated(sizes.layerCount, { window, rope: readRope(read, sizes.headSize) }),
        norms: { beforeAttention: 'input_layernorm', beforeFeedForward: 'post_attention_layernorm' },
        normOffset: 0,
        headNorms: false,
        biased: new Set([...(attentionBias ? ATTENTION : []), ...(feedForwardBias ? FEED_FORWARD : [])]),
        activation: silu,
        scoreScale: 1 / Math.sqrt(sizes.headSize),
        tieWordEmbeddings: read.flag('tie_word_embeddings', false),
      },
      tensors,
      source,
    );
  },
};

/** What Transformers' MistralConfig takes where the key is absent; null stands for no window. */
const MISTRAL_WINDOW = 4096;

const ATTENTION = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'];
const FEED_FORWARD = ['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'];
