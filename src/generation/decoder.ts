import { fail } from '../common/problem.js';
import type { Attached, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import { keysInFrontCount } from '../models/keysInFront.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import type { KeyValueCache } from './cache.js';
import { decodeGraph } from './decodeGraph.js';
import type { Tokens } from './tokens.js';
import { tokenFeeds } from './tokens.js';

/** A model with methods, compiled for decoding. What it has read of a text is kept outside, in a cache. */
export interface Decoder {
  readonly model: LanguageModel;
  /** Virtual tokens, prompt and answer together are no longer than this. */
  readonly positionLimit: number;
  /** Ids of the methods' virtual tokens, which come before every text. */
  readonly prefix: readonly number[];
  /**
   * Reads tokens behind those that the cache holds; it holds them too then.
   *
   * @param predictors how many of the last positions of each row predict a token that is wanted; default 1
   * @returns logits [rows · predictors, vocabulary]
   */
  run(tokens: Tokens, cache: KeyValueCache, predictors?: number): Promise<Float32Array>;
  /** Other numbers of the methods' trainables from the next run on; a cache holds what the old ones read. */
  use(values: Values): void;
  dispose(): Promise<void>;
}

/** What a decoder is made of. */
export interface DecoderSetup {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  /** Numbers of the methods' trainables. */
  readonly values: Values;
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  /** At most the model's positions; there has to be room for what methods put in front and two more. */
  readonly positionLimit: number;
}

/**
 * Compiles a model with methods for decoding.
 * @throws ProblemError `generation.position-limit`
 */
export async function createDecoder(setup: DecoderSetup): Promise<Decoder> {
  const { model, methods, positionLimit } = setup;
  const hooks = methods.map((method) => method.hooks);
  const prefix = virtualTokenIds(hooks, model.vocabSize);
  const keysInFront = keysInFrontCount(hooks);
  const least = prefix.length + keysInFront + 2;
  if (!Number.isSafeInteger(positionLimit) || positionLimit < least || positionLimit > model.maxPositions) {
    fail({
      code: 'generation.position-limit',
      message: `${prefix.length === 0 ? '' : `${prefix.length} virtual tokens, `}prompt and answer are to take up to ${positionLimit} tokens`,
      expected: `a whole number from ${least} to ${model.maxPositions}, the model's max_position_embeddings`,
    });
  }
  const program = await setup.runtime.compile(
    decodeGraph(model, hooks, positionLimit - keysInFront),
    setup.weights,
  );
  let trained = trainedFeeds(methods, setup.values, program.reads);
  return {
    model,
    positionLimit: positionLimit - keysInFront,
    prefix,
    async run(tokens, cache, predictors = 1) {
      const results = await program.run(
        { ...trained, ...tokenFeeds(tokens, predictors), ...cache.feeds() },
        cache.targets(tokens.sequence),
      );
      cache.advance(tokens.segments);
      return results['logits']!.data as Float32Array;
    },
    use(values) {
      trained = trainedFeeds(methods, values, program.reads);
    },
    dispose: () => program.dispose(),
  };
}
