import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Attached, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import { keysInFrontCount } from '../models/keysInFront.js';
import { virtualTokenCount, virtualTokenIds } from '../models/virtualTokens.js';
import type { Program, Runtime, Value, WeightFiles } from '../runtime/runtime.js';
import { createCache } from './cache.js';
import { decodeGraph } from './decodeGraph.js';
import { createSource, sourceFeeds, sourceGraph } from './source.js';
import type { Source } from './source.js';
import type { Tokens } from './tokens.js';
import { behindToken, numbered, shifted, splitTokens, tokenFeeds, withPrefixes } from './tokens.js';

/** A model with methods, compiled for decoding. */
export interface Decoder {
  readonly vocabSize: number;
  /** Prompt and answer together are no longer than this: what methods put in front of them is taken off. */
  readonly positionLimit: number;
  /** Encoder-decoders: the token that answers begin with; what is read first is no part of them. */
  readonly startTokenId?: number;
  /**
   * Begins to read texts, a row each.
   * @param tasks of the rows, by their place among those that the methods tell apart; default: the first for all
   */
  read(rows: number, tasks?: readonly number[]): Reading;
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
    read(rows, tasks) {
      const reading = decoder.read(rows, tasks);
      return { ...reading, run: (tokens, predictors) => around(() => reading.run(tokens, predictors)) };
    },
  };
}

/** What a decoder is made of. */
export interface DecoderSetup {
  readonly model: LanguageModel;
  readonly methods: readonly Pick<Attached, 'hooks' | 'trainables'>[];
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
  const virtual = virtualTokenCount(hooks);
  const keysInFront = keysInFrontCount(hooks);
  const least = virtual + keysInFront + 2;
  if (!Number.isSafeInteger(positionLimit) || positionLimit < least || positionLimit > model.maxPositions) {
    fail({
      code: 'generation.position-limit',
      message:
        virtual === 0
          ? l10n.t`prompt and answer are to take up to ${positionLimit} tokens`
          : l10n.t`${virtual} virtual tokens, prompt and answer are to take up to ${positionLimit} tokens`,
      expected: l10n.t`a whole number from ${least} to ${model.maxPositions}, the model's max_position_embeddings`,
    });
  }
  const program = await setup.runtime.compile(
    decodeGraph(model, hooks, positionLimit - keysInFront),
    setup.weights,
  );
  const prefixOf = (task: number): number[] => virtualTokenIds(hooks, model.vocabSize, task);
  const sources = sourceGraph(model, hooks, positionLimit - keysInFront);
  const encoder = sources && (await orDisposed(setup.runtime.compile(sources, setup.weights), [program]));
  const feedsOf = (values: Values): Record<string, Value> => ({
    ...(encoder && trainedFeeds(methods, values, encoder.reads)),
    ...trainedFeeds(methods, values, program.reads),
  });
  let trained = feedsOf(setup.values);
  return {
    vocabSize: model.vocabSize,
    positionLimit: positionLimit - keysInFront - virtual,
    ...(model.encoder && { startTokenId: model.encoder.startTokenId }),
    read(rows, tasks = Array.from({ length: rows }, () => 0)) {
      let rowTasks = tasks;
      const cache = createCache(model, rows);
      let source: Source | undefined;
      let read = 0;
      const begin = (tokens: Tokens): Tokens => withPrefixes(tokens, rowTasks.map(prefixOf));
      /** What an encoder reads first is its source, behind which the decoder begins with a token of its own. */
      const encoded = async (encoding: Program, tokens: Tokens, predictors: number): Promise<Tokens> => {
        if (source !== undefined) return numbered(tokens, read);
        // The prompt's last token is the first that predicts: what follows it is the answer's.
        const [prompts, answers] = splitTokens(tokens, tokens.sequence - predictors + 1);
        const all = begin(prompts);
        source = createSource(await encoding.run({ ...trained, ...sourceFeeds(all, rowTasks) }), all);
        return numbered(behindToken(answers, model.encoder!.startTokenId), 0);
      };
      return {
        async run(tokens, predictors = 1) {
          const behind = read === 0 ? begin : (next: Tokens): Tokens => shifted(next, virtual);
          const all = encoder === undefined ? behind(tokens) : await encoded(encoder, tokens, predictors);
          read += all.sequence;
          const results = await program.run(
            { ...trained, ...tokenFeeds(all, rowTasks, predictors), ...cache.feeds(), ...source?.feeds() },
            cache.targets(all.sequence),
          );
          cache.advance(all.segments);
          return results['logits']!.data as Float32Array;
        },
        keepRows(kept) {
          cache.keepRows(kept);
          source?.keepRows(kept);
          rowTasks = kept.map((row) => rowTasks[row]!);
        },
        // A source is read as a whole.
        ...(encoder === undefined && { keepFirst: (length: number) => cache.keepFirst(virtual + length) }),
      };
    },
    use(values) {
      trained = feedsOf(values);
    },
    async dispose() {
      await program.dispose();
      await encoder?.dispose();
    },
  };
}

/**
 * Makes decoders one after the other that are to work together; where one of them fails, those before it are let go.
 * @throws what making them throws
 */
export async function createTogether(
  makes: readonly (() => Decoder | Promise<Decoder>)[],
): Promise<readonly Decoder[]> {
  const made: Decoder[] = [];
  for (const make of makes) made.push(await orDisposed(Promise.resolve().then(make), made));
  return made;
}

/** What others are waiting for; where it fails, they are let go. */
async function orDisposed<T>(work: Promise<T>, others: readonly Pick<Decoder, 'dispose'>[]): Promise<T> {
  try {
    return await work;
  } catch (error) {
    for (const each of others) await each.dispose();
    throw error;
  }
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
