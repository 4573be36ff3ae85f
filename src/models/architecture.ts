import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';

/** A decoder whose hyper-parameters are read: what the rest needs to know of it. */
export interface LanguageModel {
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly maxPositions: number;
  /** Shape of one layer's key or value cache: [batch, cacheHeads, past, headSize]. */
  readonly cacheHeads: number;
  readonly headSize: number;
  readonly tiedHead: boolean;
  /** What of its config is not done here, to be said before a run. */
  readonly warnings?: readonly Problem[];
  /** What token embeddings are multiplied by before the first layer; absent: nothing. */
  readonly embeddingScale?: number;
  /** Every place where a method may act, in the order of the forward pass. */
  readonly sites: readonly Site[];
  /** Where its tokens attend, in the order of the forward pass. */
  readonly attentions: readonly AttentionPlace[];
  /** What is added to its residual stream, in the order of the forward pass. */
  readonly sublayers: readonly SublayerPlace[];
  /** Tensors of the checkpoint that are no parameters (stored masks): nothing reads them, and a merged model has none. */
  readonly buffers?: ReadonlySet<string>;
  /** Builds everything up to the last hidden state. */
  decode(scope: Scope, inputs: DecoderInputs): DecoderOutputs;
  /** Last norm and output layer: hidden [n, hidden] → logits [n, vocabulary]. */
  head(scope: Scope, hidden: Tensor): Tensor;
}

export interface DecoderInputs {
  /** [batch, sequence] int32 */
  readonly inputIds: Tensor;
  /** [batch, sequence] int32: places in the text, from 0 */
  readonly positions: Tensor;
  /** [batch, sequence] int32: 0 = padding; attention stays within equal numbers */
  readonly segments: Tensor;
  /** Positions run up to this number, exclusive. */
  readonly positionLimit: number;
  /** Keys and values of the tokens before these; absent while training. */
  readonly cache?: DecoderCache;
}

export interface DecoderCache {
  /** Per layer [batch, cacheHeads, past, headSize]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** [batch, past] int32 segments of the cached tokens. */
  readonly segments: Tensor;
}

export interface DecoderOutputs {
  /** [batch, sequence, hidden], before the last norm. */
  readonly hidden: Tensor;
  /** Per layer: keys and values of cached and new tokens together. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/** One architecture: which `model_type`s of `config.json` it reads and how. */
export interface Architecture {
  readonly modelTypes: readonly string[];
  /** Keys of its config that ask for dropout, which is not applied here, each with what an absent key stands for. */
  readonly dropouts: Readonly<Record<string, number>>;
  /**
   * Reads `config.json`, checks it against the checkpoint's tensors.
   * @param tensors shape of every tensor by its Hugging Face name
   * @throws ProblemError `model.*` naming the key, what was found and what is supported
   */
  read(config: JsonObject, tensors: ReadonlyMap<string, readonly number[]>, source: string): LanguageModel;
}
