import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Tensor } from '../tensor/tensor.js';
import { namedActivation } from './activation.js';
import { configReader } from './configReader.js';
import type { ConfigReader } from './configReader.js';
import { MAX_LAYERS } from './decoderConfig.js';
import { decoderStartOf } from './decoderStart.js';
import type { RelativeBuckets } from './relativeBias.js';

/** What tells one T5 from another. */
export interface T5Form {
  readonly modelType: 't5' | 'mt5';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Width of the feed-forward part. */
  readonly innerSize: number;
  readonly heads: number;
  readonly headSize: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  /** Of the norms. */
  readonly epsilon: number;
  readonly buckets: Omit<RelativeBuckets, 'bidirectional'>;
  readonly isGated: boolean;
  readonly activation: (x: Tensor) => Tensor;
  /** Whether the head reads the hidden state times d_model^−½. */
  readonly scalesHead: boolean;
  readonly startTokenId: number;
}

/**
 * Reads a T5's config; where a key is absent, what Transformers' T5Config and MT5Config take.
 * @throws ProblemError `model.config`, `model.unsupported`, `model.activation` naming the key
 */
export function readT5Form(config: JsonObject, read: ConfigReader, source: string): T5Form {
  const modelType = config['model_type'] === 'mt5' ? 'mt5' : 't5';
  const isMultilingual = modelType === 'mt5';
  if (!read.flag('is_encoder_decoder', true)) {
    read.unsupported('is_encoder_decoder', l10n.t`a T5 with both its encoder and its decoder`);
  }
  const layers = (key: string, usual: number): number => {
    const found = read.count(key, usual);
    return found <= MAX_LAYERS ? found : read.wrong(key, l10n.t`at most ${MAX_LAYERS} layers`);
  };
  const encoderLayers = layers('num_layers', isMultilingual ? 8 : 6);
  const vocabSize = read.count('vocab_size', isMultilingual ? 250_112 : 32_128);
  return {
    modelType,
    vocabSize,
    hiddenSize: read.count('d_model', 512),
    innerSize: read.count('d_ff', isMultilingual ? 1024 : 2048),
    heads: read.count('num_heads', isMultilingual ? 6 : 8),
    headSize: read.count('d_kv', 64),
    encoderLayers,
    decoderLayers: layers('num_decoder_layers', encoderLayers),
    epsilon: read.positive('layer_norm_epsilon', 1e-6),
    buckets: readBuckets(read),
    ...readFeedForward(config, read, isMultilingual ? 'gated-gelu' : 'relu', source),
    // Of mT5 no head was ever tied. Transformers 5 says it apart, and calls every head tied.
    scalesHead: !isMultilingual && read.flag('scale_decoder_outputs', read.flag('tie_word_embeddings', true)),
    startTokenId: readStart(config, read, vocabSize),
  };
}

function readBuckets(read: ConfigReader): T5Form['buckets'] {
  const count = read.count('relative_attention_num_buckets', 32);
  const reach = read.count('relative_attention_max_distance', 128);
  // Each side of an encoder has half of them, and the nearer half of these one distance each.
  if (count < 4 || count > MAX_BUCKETS) {
    read.wrong('relative_attention_num_buckets', l10n.t`a whole number from ${4} to ${MAX_BUCKETS}`);
  }
  const least = Math.floor(count / 2) + 1;
  if (reach < least || reach > MAX_REACH) {
    read.wrong('relative_attention_max_distance', l10n.t`a whole number from ${least} to ${MAX_REACH}`);
  }
  return { count, reach };
}

const MAX_BUCKETS = 4096;
const MAX_REACH = 2 ** 16;

/** `relu`, or `gated-gelu`: an activation, and whether it gates. The gelu that gates is the one of Google's code. */
function readFeedForward(
  config: JsonObject,
  read: ConfigReader,
  usual: string,
  source: string,
): Pick<T5Form, 'isGated' | 'activation'> {
  const key = 'feed_forward_proj';
  const asked = read.text(key, usual);
  const isGated = asked.startsWith('gated-');
  const name = isGated ? asked.slice('gated-'.length) : asked;
  const named = configReader({ ...config, [key]: isGated && name === 'gelu' ? 'gelu_new' : name }, source);
  return { isGated, activation: namedActivation(named, key, usual) };
}

function readStart(config: JsonObject, read: ConfigReader, vocabSize: number): number {
  const id = decoderStartOf(config);
  if (id !== undefined && id < vocabSize) return id;
  const key = read.has('decoder_start_token_id') ? 'decoder_start_token_id' : 'pad_token_id';
  return read.wrong(key, l10n.t`a token id from ${0} to ${vocabSize - 1}`);
}
