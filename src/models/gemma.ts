import * as l10n from '@vscode/l10n';
import type { Architecture } from './architecture.js';
import type { ConfigReader } from './configReader.js';
import { configReader, orNone } from './configReader.js';
import { readActivation, readSizes, readWindows, repeated } from './decoderConfig.js';
import type { Rope } from './rope.js';
import { readRope, readRopePair } from './rope.js';
import type { DecoderForm, DecoderSizes, LayerForm } from './rotaryDecoder.js';
import { rotaryDecoder } from './rotaryDecoder.js';

/**
 * Gemma 1 (Gemma Team 2024), Gemma 2 (2024, section 2) and the language model of Gemma 3 (2025, section 2): norms of
 * 1 + w, embeddings times √hidden_size, a gated feed-forward part with GELU. From Gemma 2 on the sublayers' results
 * are normed as well, and layers with a window alternate with whole ones. Gemma 2 caps scores and logits; Gemma 3
 * norms queries and keys instead, and turns them by another base where a layer has a window.
 */
export const gemma: Architecture = {
  kind: 'decoder',
  tasks: ['CAUSAL_LM'],
  modelTypes: ['gemma', 'gemma2', 'gemma3_text'],
  dropouts: { attention_dropout: 0 },
  read(config, tensors, source) {
    const read = configReader(config, source);
    const modelType = read.text('model_type', 'gemma');
    const sizes = readSizes(read, {
      maxPositions: modelType === 'gemma3_text' ? 131_072 : 8192,
      headSize: 256,
    });
    const attention = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'];
    return rotaryDecoder(
      {
        ...sizes,
        modelType,
        normOffset: 1,
        biased: new Set(read.flag('attention_bias', false) ? attention : []),
        // As a float32, which is what Transformers multiplies by where a model is loaded as float32.
        embeddingScale: Math.sqrt(sizes.hiddenSize),
        tieWordEmbeddings: read.flag('tie_word_embeddings', true),
        ...readVersion(read, modelType, sizes),
      },
      tensors,
      source,
    );
  },
};

/** What the versions differ in. */
type Version = Pick<
  DecoderForm,
  'layers' | 'norms' | 'headNorms' | 'activation' | 'scoreScale' | 'scoreCap' | 'logitCap'
>;

function readVersion(read: ConfigReader, modelType: string, sizes: DecoderSizes): Version {
  switch (modelType) {
    case 'gemma2':
      return readSecond(read, sizes);
    case 'gemma3_text':
      return readThird(read, sizes);
    default:
      return readFirst(read, sizes);
  }
}

function readFirst(read: ConfigReader, { layerCount, headSize }: DecoderSizes): Version {
  // The first configs say `gelu` and mean the tanh form; `hidden_activation`, where one is given, came later.
  readActivation(read, 'hidden_activation', ['gelu_pytorch_tanh']);
  return {
    layers: repeated(layerCount, { window: undefined, rope: readRope(read, headSize) }),
    norms: { beforeAttention: 'input_layernorm', beforeFeedForward: 'post_attention_layernorm' },
    headNorms: false,
    activation: readActivation(read, 'hidden_act', ['gelu_pytorch_tanh', 'gelu']),
    scoreScale: 1 / Math.sqrt(headSize),
  };
}

function readSecond(read: ConfigReader, { layerCount, headSize }: DecoderSizes): Version {
  const rope = readRope(read, headSize);
  const cap = (key: string, usual: number): number | undefined =>
    orNone(read, key, () => read.positive(key, usual));
  return {
    ...readSandwich(read),
    layers: alternating(read, layerCount, 2, { full: rope, sliding: rope }),
    headNorms: false,
    scoreCap: cap('attn_logit_softcapping', 50),
    logitCap: cap('final_logit_softcapping', 30),
  };
}

function readThird(read: ConfigReader, { layerCount, headSize }: DecoderSizes): Version {
  if (read.has('attn_logit_softcapping')) {
    // Transformers passes over it; others may not.
    read.unsupported('attn_logit_softcapping', l10n.t`null: Gemma 3 norms queries and keys instead`);
  }
  return {
    ...readSandwich(read),
    layers: alternating(read, layerCount, read.count('sliding_window_pattern', 6), readRopePair(read, headSize)),
    headNorms: true,
    logitCap: read.has('final_logit_softcapping') ? read.positive('final_logit_softcapping') : undefined,
  };
}

/** What Gemma 2 and 3 share: norms before and after either sublayer, and a scale of the scores of its own. */
function readSandwich(read: ConfigReader): Pick<Version, 'norms' | 'activation' | 'scoreScale'> {
  return {
    norms: {
      beforeAttention: 'input_layernorm',
      afterAttention: 'post_attention_layernorm',
      beforeFeedForward: 'pre_feedforward_layernorm',
      afterFeedForward: 'post_feedforward_layernorm',
    },
    activation: readActivation(read, 'hidden_activation', ['gelu_pytorch_tanh']),
    scoreScale: 1 / Math.sqrt(read.positive('query_pre_attn_scalar', 256)),
  };
}

/** Layers with a window, of which every `period`-th sees everything unless `layer_types` says otherwise. */
function alternating(
  read: ConfigReader,
  layerCount: number,
  period: number,
  ropes: { readonly full: Rope; readonly sliding: Rope },
): LayerForm[] {
  const window = orNone(read, 'sliding_window', () => read.count('sliding_window', 4096));
  const full: LayerForm = { window: undefined, rope: ropes.full };
  const sliding: LayerForm = { window, rope: ropes.sliding };
  return readWindows(read, layerCount, window, (layer) => (layer + 1) % period !== 0).map((each) =>
    each === undefined ? full : sliding,
  );
}
