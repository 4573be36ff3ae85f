import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';
import type { Task, TaskType } from './task.js';

/** How a model is built: what a token sees, and whether it can continue a text. */
export type ModelKind = 'decoder' | 'encoder' | 'encoder-decoder';

/** A model whose hyper-parameters are read: what the rest needs to know of it. */
export interface LanguageModel {
  readonly kind: ModelKind;
  /** What it was read for: its head is of that task. */
  readonly task: TaskType;
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly maxPositions: number;
  /** Layers that keep keys and values, in an encoder-decoder the decoder's; absent: all. */
  readonly cacheLayers?: number;
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
  /** SEQ_CLS: the head that tells classes apart. */
  readonly classes?: ClassHead;
  /** Encoder-decoders: what reads the prompt, or source, which the decoder answers. */
  readonly encoder?: SourceEncoder;
  /** Builds everything up to the last hidden state. */
  decode(scope: Scope, inputs: DecoderInputs): DecoderOutputs;
  /**
   * Last norm and output layer: hidden [n, hidden] → logits [n, vocabulary]; SEQ_CLS: hidden of the first token of each
   * text → [n, classes].
   */
  head(scope: Scope, hidden: Tensor): Tensor;
}

/** The modules that turn the first token's hidden state into a score for each class. They train whatever the method. */
export interface ClassHead {
  /** Names of the classes, by their number. */
  readonly labels: readonly string[];
  /** The modules that train, in the order of the forward pass; they are among the model's sites. */
  readonly sites: readonly Site[];
  /** Names of their tensors that the checkpoint does not hold: they start anew. */
  readonly fresh: ReadonlySet<string>;
  /** Deviation of a weight that starts anew; a bias starts at zero. */
  readonly deviation: number;
  /** What PEFT names them by in `modules_to_save`. */
  readonly modulesToSave: readonly string[];
  /** The class of Transformers that has such a head. */
  readonly transformersClass: string;
}

/** The half of an encoder-decoder that reads the source. */
export interface SourceEncoder {
  /** The token that each of the decoder's rows begins with (`decoder_start_token_id`). */
  readonly startTokenId: number;
  /** Builds the encoder, and the keys and values that the decoder's cross-attention sees. */
  encode(scope: Scope, inputs: EncoderInputs): EncodedSource;
}

export interface EncoderInputs {
  /** [batch, source] int32 */
  readonly inputIds: Tensor;
  /** [batch, source] int32: 0 = padding; attention stays within equal numbers */
  readonly segments: Tensor;
  /** No row is longer. */
  readonly positionLimit: number;
}

/** A source as a decoder reads it. */
export interface EncodedSource {
  /** Per layer of the decoder [batch, cacheHeads, source, headSize]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** [batch, source] int32; a decoder's token sees those of its own segment. */
  readonly segments: Tensor;
}

export interface DecoderInputs {
  /** [batch, sequence] int32 */
  readonly inputIds: Tensor;
  /** [batch, sequence] int32: places in the text, from 0 */
  readonly positions: Tensor;
  /** [batch, sequence] int32: 0 = padding; attention stays within equal numbers */
  readonly segments: Tensor;
  /** [batch, sequence] int32: which of two texts a token is of; absent: all of the first. */
  readonly tokenTypes?: Tensor;
  /** Positions run up to this number, exclusive. */
  readonly positionLimit: number;
  /** Keys and values of the tokens before these; absent while training. */
  readonly cache?: DecoderCache;
  /** What the encoder read; there where the model has one. */
  readonly source?: EncodedSource;
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

/** A model as its architecture builds it. */
export type BuiltModel = Omit<LanguageModel, 'kind' | 'task' | 'warnings'>;

/** One architecture: which `model_type`s of `config.json` it reads and how. */
export interface Architecture {
  readonly kind: ModelKind;
  /** What its models can do, the usual first. */
  readonly tasks: readonly [TaskType, ...TaskType[]];
  readonly modelTypes: readonly string[];
  /** Keys of its config that ask for dropout, which is not applied here, each with what an absent key stands for. */
  readonly dropouts: Readonly<Record<string, number>>;
  /**
   * Reads `config.json`, checks it against the checkpoint's tensors.
   * @param tensors shape of every tensor by its Hugging Face name
   * @param task one of its `tasks`
   * @throws ProblemError `model.*` naming the key, what was found and what is supported
   */
  read(
    config: JsonObject,
    tensors: ReadonlyMap<string, readonly number[]>,
    source: string,
    task: Task,
  ): BuiltModel;
}
