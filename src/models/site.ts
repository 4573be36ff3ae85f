import type { Tensor } from '../tensor/tensor.js';

/** One place in the model where a method may act, named by its Hugging Face module path. */
export interface Site {
  readonly kind: 'linear' | 'embedding' | 'norm';
  /** `model.layers.3.self_attn.q_proj` */
  readonly path: string;
  /** Number of the layer it belongs to; undefined outside of the layers (embeddings, last norm, head). */
  readonly layer: number | undefined;
  /** linear [out, in], embedding [vocabulary, hidden], norm [hidden] or, of queries and keys, [headSize]; {@link parameterShape} is that of the tensor */
  readonly shape: readonly number[];
  /** How a linear weight lies in the checkpoint: [out, in] unless it is a Conv1D, `in-out` (PEFT's `fan_in_fan_out`). */
  readonly layout?: 'out-in' | 'in-out';
  /** The checkpoint's tensor that holds the weight, if there is one. A tied head names the embedding's. */
  readonly weight: string | undefined;
  /** The checkpoint's tensor that holds the bias, if there is one. */
  readonly bias: string | undefined;
  /** True for the layer that yields the logits, whatever its name. */
  readonly isOutput: boolean;
}

/** Whether a weight lies as the transpose of B·A [out, in]: an embedding's is [vocabulary, out], a Conv1D's [in, out]. */
export function liesTransposed({ kind, layout }: Pick<Site, 'kind' | 'layout'>): boolean {
  return kind === 'embedding' || layout === 'in-out';
}

/** A parameter of a site. */
export type ParameterKind = 'weight' | 'bias';

/** The shape of a site's weight or bias as the checkpoint holds it, and as hooks get and return it. */
export function parameterShape({ shape, layout }: Site, kind: ParameterKind): readonly number[] {
  if (kind === 'bias') return [shape[0]!];
  return layout === 'in-out' ? [shape[1]!, shape[0]!] : shape;
}

/** The weight and bias that a site computes with, as methods made them. */
export interface SiteParameters {
  readonly weight: Tensor;
  readonly bias?: Tensor | undefined;
}

/** A place where tokens attend: keys and values of its own. */
export interface AttentionPlace {
  /** `self`: to the tokens before, or around; `cross`: a decoder's tokens to an encoder's. */
  readonly kind: 'self' | 'cross';
  /** `model.layers.3.self_attn` */
  readonly path: string;
  readonly layer: number;
  readonly keyHeads: number;
  readonly headSize: number;
}

/** Keys and values of one place: [keyHeads, n, headSize] each. */
export interface KeyValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** A sublayer: what is computed and added to the residual stream. */
export interface SublayerPlace {
  readonly kind: 'attention' | 'cross-attention' | 'feed-forward';
  /** `model.layers.3.mlp` */
  readonly path: string;
  readonly layer: number;
}

/** A sublayer's tensors, [..., hidden] each. */
export interface SublayerTensors {
  /** What it computes from: in pre-norm models the normed stream. */
  readonly input: Tensor;
  /** Its result, as it is added to the stream. */
  readonly output: Tensor;
  /** The stream that the result is added to. */
  readonly residual: Tensor;
  /** In post-norm models the norm that follows the addition. */
  readonly norm?: (x: Tensor) => Tensor;
}

/** The layers of a model that stand one behind the other; an encoder-decoder has both. */
export type Stack = 'encoder' | 'decoder';

/** What methods do to a model while its graph is built. Every hook gets what was there and returns what is to be. */
export interface Hooks {
  /**
   * The weight or bias that a site uses: a method returns its own tensor to train, mask or rewrite it.
   * @param x what the site reads, where it is known: what is made of little and is large waits for it (`after`), for a
   *   runtime would make all weights of a model before it has the first one's x
   */
  readonly parameter?: (site: Site, kind: ParameterKind, base: Tensor, phase: Phase, x?: Tensor) => Tensor;
  /**
   * What a linear site reads, before its product. Methods wrap what is there, in order: the last one's input comes first
   * and its output last, so that a method's `output` sees the x that its own `input` got.
   * @param x [..., in]
   */
  readonly input?: (site: Site, x: Tensor, phase: Phase) => Tensor;
  /**
   * A site's result.
   * @param x linear: [..., in]; embedding: token ids [batch, sequence]; norm: [..., hidden]
   * @param y [..., out]; norm: [..., hidden]
   * @param own what y was made with
   */
  readonly output?: (site: Site, x: Tensor, y: Tensor, phase: Phase, own: SiteParameters) => Tensor;
  /**
   * What a sublayer adds to the residual stream: gets its result, or what methods before made of it, as `output`.
   * @returns [..., hidden]
   */
  readonly sublayer?: (place: SublayerPlace, tensors: SublayerTensors, phase: Phase) => Tensor;
  /**
   * What the first layer of a stack reads: embeddings with all that belongs to them.
   * @param x [..., hidden]
   */
  readonly stackInput?: (stack: Stack, x: Tensor, phase: Phase) => Tensor;
  /** Keys and values that every token sees before those of its text. */
  readonly keysInFront?: {
    /** How many at a place: the positions of a text's tokens start behind them. */
    readonly length: number;
    /** As they enter the scores: no position turns them. */
    readonly at: (place: AttentionPlace, phase: Phase) => KeyValues;
  };
  /**
   * Tokens of its own that the method puts before every text, under the ids from `vocabSize` up (those of a further
   * such method follow). Data and prompts carry these ids; the model never looks them up.
   */
  readonly virtualTokens?: number;
  /** Of how many tasks it has virtual tokens of their own; default 1: all rows have the same. */
  readonly virtualTasks?: number;
  /**
   * The rows of its virtual tokens, task after task: [virtualTasks · virtualTokens, hidden]. Goes with
   * {@link virtualTokens}.
   */
  readonly virtualEmbeddings?: (phase: Phase) => Tensor;
}

/** What methods may have measured on the rows of an evaluation. */
export interface Measuring {
  /** int32 [batch, sequence]: 0 = padding */
  readonly segments: Tensor;
  /** Encoder-decoders: the same for what the encoder reads, [batch, source]. */
  readonly sourceSegments: Tensor;
  /** Takes a tensor whose numbers are summed over the batches, under a name. */
  sum(name: string, tensor: Tensor): void;
}

/** What the graph is built for. */
export interface Phase {
  /** Present while training: int32 [], another value at every micro-batch; dropout draws from it. */
  readonly dropoutSeed: Tensor | undefined;
  /** The task of each token's row, from 0: int32 [batch, sequence]; absent in a graph that has no rows. */
  readonly tasks?: Tensor;
  /** Present where an evaluation measures. */
  readonly measuring?: Measuring;
  /** Encoder-decoders: the same for what the encoder reads, [batch, source]. */
  readonly sourceTasks?: Tensor;
}
