import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Attached, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import { keysInFrontCount } from '../models/keysInFront.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import { createCache } from './cache.js';
import { decodeGraph } from './decodeGraph.js';
import type { Tokens } from './tokens.js';
import { shifted, tokenFeeds, withPrefix } from './tokens.js';

/** A model with methods, compiled for decoding. */
export interface Decoder {
  readonly vocabSize: number;
  /** Prompt and answer together are no longer than this: what methods put in front of them is taken off. */
  readonly positionLimit: number;
  /** Begins to read texts, a row each. */
  read(rows: number): Reading;
  /** Other numbers of the methods' trainables from the next run on; a reading holds what the old ones made. */
  use(values: Values): void;
  dispose(): Promise<void>;
}

/** What a decoder has read of some texts, and what it expects next. */
export interface Reading {
  /**
   * Reads tokens behind those that it has read; positions count those of the texts alone, from 0.
   *
   * @param predictors how many of the last positions of each row predict a token that is wanted; default 1
   * @returns logits [rows · predictors, vocabulary]
   */
  run(tokens: Tokens, predictors?: number): Promise<Float32Array>;
  /** Drops all rows but these (ascending). */
  keepRows(rows: readonly number[]): void;
  /** Forgets all of each text but its first tokens. Undefined where what was read cannot be taken back. */
  readonly keepFirst?: (length: number) => void;
}

/**
 * A decoder with something done around each run of its readings.
 * @param around has to call `run` and to hand on what it returns
 */
export function aroundRuns(
  decoder: Decoder,
  around: (run: () => Promise<Float32Array>) => Promise<Float32Array>,
): Decoder {
  return {
    ...decoder,
    read(rows) {
      const reading = decoder.read(rows);
      return { ...reading, run: (tokens, predictors) => around(() => reading.run(tokens, predictors)) };
    },
  };
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
 * @throws ProblemError `generation.encoder`, `generation.position-limit`
 */
export async function createDecoder(setup: DecoderSetup): Promise<Decoder> {
  const { model, methods, positionLimit } = setup;
  checkContinues(model);
  const hooks = methods.map((method) => method.hooks);
  const prefix = virtualTokenIds(hooks, model.vocabSize);
  const keysInFront = keysInFrontCount(hooks);
  const least = prefix.length + keysInFront + 2;
  if (!Number.isSafeInteger(positionLimit) || positionLimit < least || positionLimit > model.maxPositions) {
    fail({
      code: 'generation.position-limit',
      message:
        prefix.length === 0
          ? l10n.t`prompt and answer are to take up to ${positionLimit} tokens`
          : l10n.t`${prefix.length} virtual tokens, prompt and answer are to take up to ${positionLimit} tokens`,
      expected: l10n.t`a whole number from ${least} to ${model.maxPositions}, the model's max_position_embeddings`,
    });
  }
  const program = await setup.runtime.compile(
    decodeGraph(model, hooks, positionLimit - keysInFront),
    setup.weights,
  );
  let trained = trainedFeeds(methods, setup.values, program.reads);
  return {
    vocabSize: model.vocabSize,
    positionLimit: positionLimit - keysInFront - prefix.length,
    read(rows) {
      const cache = createCache(model, rows);
      let begun = false;
      return {
        async run(tokens, predictors = 1) {
          const all = begun ? shifted(tokens, prefix.length) : withPrefix(tokens, prefix);
          begun = true;
          const results = await program.run(
            { ...trained, ...tokenFeeds(all, predictors), ...cache.feeds() },
            cache.targets(all.sequence),
          );
          cache.advance(all.segments);
          return results['logits']!.data as Float32Array;
        },
        keepRows: (kept) => cache.keepRows(kept),
        keepFirst: (length) => cache.keepFirst(prefix.length + length),
      };
    },
    use(values) {
      trained = trainedFeeds(methods, values, program.reads);
    },
    dispose: () => program.dispose(),
  };
}

/**
 * @throws ProblemError `generation.encoder` for a model that reads texts and continues none
 */
export function checkContinues({ kind, modelType }: LanguageModel): void {
  if (kind !== 'encoder') return;
  fail({
    code: 'generation.encoder',
    message: l10n.t`a model of type ${modelType} is an encoder: it reads texts and continues none`,
    expected: l10n.t`a decoder, or an encoder-decoder`,
    mend: l10n.t`Measure it with peft-studio evaluate, or choose a model that answers.`,
  });
}
