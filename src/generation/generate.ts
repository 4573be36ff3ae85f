import { fail } from '../common/problem.js';
import type { Random } from '../common/random.js';
import { random } from '../common/random.js';
import type { Attached, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import { createCache } from './cache.js';
import { checkPrompt } from './checkPrompt.js';
import { decodeGraph } from './decodeGraph.js';
import type { GenerateOptions, GenerateSettings } from './options.js';
import { generateSettings } from './options.js';
import { chooseToken } from './sampling.js';
import { nextTokens, promptTokens, tokenFeeds } from './tokens.js';

export interface GeneratedRow {
  /** The new tokens, the end-of-text id that ended them included. */
  readonly ids: readonly number[];
  /** `length`: max_new_tokens or the position limit was reached; `stopped`: `onToken` returned false. */
  readonly reason: 'eos' | 'length' | 'stopped';
}

/** Called for each new token, in the order of the rows; false ends the row. */
export type OnToken = (row: number, id: number) => boolean | void;

/** Continues rows of tokens with one model; compiled once. */
export interface Generator {
  /**
   * Continues each prompt on its own. All prompts run as one batch: memory grows with their number.
   *
   * @param prompts token ids, of any lengths from 1 to `positionLimit` − 1, less the methods' virtual tokens,
   *   which are put before each here
   * @throws ProblemError `generation.option`; `generation.empty-prompt`, `generation.prompt-too-long` and
   *   `generation.token` naming the row; `generation.non-finite`
   */
  generate(
    prompts: readonly (readonly number[])[],
    options: GenerateOptions,
    onToken?: OnToken,
  ): Promise<GeneratedRow[]>;
  dispose(): Promise<void>;
}

interface Row {
  readonly index: number;
  readonly ids: number[];
  /** Of virtual tokens, prompt and answer. */
  length: number;
  readonly seen: Set<number>;
  readonly rng: Random;
  reason: GeneratedRow['reason'] | undefined;
}

/**
 * Compiles a model with methods for decoding: the prompts in one run, then one token per row and run, attending
 * to the keys and values kept of all tokens before. A row that ends leaves the batch.
 *
 * @param setup.values numbers of the methods' trainables
 * @param setup.positionLimit virtual tokens, prompt and answer together are no longer than this; at most the model's
 *   positions
 * @throws ProblemError `generation.position-limit`
 */
export async function createGenerator(setup: {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly values: Values;
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly positionLimit: number;
}): Promise<Generator> {
  const { model, methods, positionLimit } = setup;
  const hooks = methods.map((method) => method.hooks);
  const prefix = virtualTokenIds(hooks, model.vocabSize);
  const least = prefix.length + 2;
  if (!Number.isSafeInteger(positionLimit) || positionLimit < least || positionLimit > model.maxPositions) {
    fail({
      code: 'generation.position-limit',
      message: `${prefix.length === 0 ? '' : `${prefix.length} virtual tokens, `}prompt and answer are to take up to ${positionLimit} tokens`,
      expected: `a whole number from ${least} to ${model.maxPositions}, the model's max_position_embeddings`,
    });
  }
  const program = await setup.runtime.compile(decodeGraph(model, hooks, positionLimit), setup.weights);
  const trained = trainedFeeds(methods, setup.values, program.reads);

  return {
    async generate(prompts, options, onToken) {
      const settings = generateSettings(options);
      prompts.forEach((prompt, row) => checkPrompt(prompt, row, model.vocabSize, positionLimit - prefix.length));
      if (prompts.length === 0) return [];
      const rows = prompts.map((prompt, index): Row => ({
        index,
        ids: [],
        length: prefix.length + prompt.length,
        seen: new Set(prompt),
        rng: random(settings.seed, 'generate', index),
        reason: undefined,
      }));
      const cache = createCache(model, rows.length);
      let [active, tokens] = [rows, promptTokens(prompts.map((prompt) => [...prefix, ...prompt]))];
      while (active.length > 0) {
        const results = await program.run(
          { ...trained, ...tokenFeeds(tokens), ...cache.feeds() },
          cache.targets(tokens.sequence),
        );
        cache.advance(tokens.segments);
        const logits = results['logits']!.data as Float32Array;
        active.forEach((row, at) => {
          const own = logits.subarray(at * model.vocabSize, (at + 1) * model.vocabSize);
          extend(row, own, settings, positionLimit, onToken);
        });
        const kept = active.flatMap((row, at) => (row.reason === undefined ? [at] : []));
        cache.keepRows(kept);
        active = kept.map((at) => active[at]!);
        tokens = nextTokens(
          active.map((row) => row.ids.at(-1)!),
          active.map((row) => row.length - 1),
        );
      }
      return rows.map(({ ids, reason }) => ({ ids, reason: reason! }));
    },
    dispose: () => program.dispose(),
  };
}

/** Adds a row's next token and decides whether it was the last. */
function extend(
  row: Row,
  logits: Float32Array,
  settings: GenerateSettings,
  positionLimit: number,
  onToken: OnToken | undefined,
): void {
  const id = chooseToken(logits, row.seen, settings, row.rng);
  row.ids.push(id);
  row.seen.add(id);
  row.length += 1;
  const stopped = onToken?.(row.index, id) === false;
  if (settings.eos_token_id.includes(id)) row.reason = 'eos';
  else if (stopped) row.reason = 'stopped';
  else if (row.ids.length >= settings.max_new_tokens || row.length >= positionLimit) row.reason = 'length';
}
