import { silu } from '../tensor/ops/elementwise.js';
import type { Architecture } from './architecture.js';
import type { ConfigReader } from './configReader.js';
import { configReader, orNone } from './configReader.js';
import { readActivation, readSizes, readWindows } from './decoderConfig.js';
import { readRope } from './rope.js';
import type { LayerForm } from './rotaryDecoder.js';
import { rotaryDecoder } from './rotaryDecoder.js';

/**
 * Qwen 2, 2.5 and 3, the dense ones: a Llama whose queries, keys and values have biases (Qwen 2; Yang et al. 2024,
 * section 2.2.1), or whose queries and keys are normed within each head instead (Qwen 3; Yang et al. 2025, section 2).
 */
export const qwen: Architecture = {
  kind: 'decoder',
  tasks: ['CAUSAL_LM'],
  modelTypes: ['qwen2', 'qwen3'],
  dropouts: { attention_dropout: 0 },
  read(config, tensors, source) {
    const read = configReader(config, source);
    const modelType = read.text('model_type', 'qwen2');
    const isThird = modelType === 'qwen3';
    readActivation(read, 'hidden_act', ['silu']);
    const sizes = readSizes(read, { maxPositions: 32768, ...(isThird ? { headSize: 128 } : {}) });
    // Qwen 2 has its biases whatever the config says.
    const biased = isThird ? (read.flag('attention_bias', false) ? [...QKV, 'self_attn.o_proj'] : []) : QKV;
    return rotaryDecoder(
      {
        ...sizes,
        modelType,
        layers: readLayers(read, sizes.layerCount, sizes.headSize),
        norms: { beforeAttention: 'input_layernorm', beforeFeedForward: 'post_attention_layernorm' },
        normOffset: 0,
        headNorms: isThird,
        biased: new Set(biased),
        activation: silu,
        scoreScale: 1 / Math.sqrt(sizes.headSize),
        tieWordEmbeddings: read.flag('tie_word_embeddings', false),
      },
      tensors,
      source,
    );
  },
};

const QKV = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'];

/** The last layers may see a window only; the first `max_window_layers` see everything. */
function readLayers(read: ConfigReader, layerCount: number, headSize: number): LayerForm[] {
  const rope = readRope(read, headSize);
  const window = read.flag('use_sliding_window', false)
    ? orNone(read, 'sliding_window', () => read.count('sliding_window', 4096))
    : undefined;
  const first = read.number('max_window_layers', 28);
  const whole: LayerForm = { window: undefined, rope };
  const sliding: LayerForm = { window, rope };
  return readWindows(read, layerCount, window, (layer) => window !== undefined && layer >= first).map((each) =>
    each === undefined ? whole : sliding,
  );
}
