import type { Random } from '../common/random.js';
import { random } from '../common/random.js';
import { checkPrompt } from './checkPrompt.js';
import { createDecoder } from './decoder.js';
import type { Decoder, DecoderSetup } from './decoder.js';
import type { GenerateOptions, GenerateSettings } from './options.js';
import { generateSettings } from './options.js';
import { chooseToken } from './sampling.js';
import { nextTokens, promptTokens } from './tokens.js';

export interface GeneratedRow {
  /** The new tokens, the end-of-text id that ended them included. */
  readonly ids: readonly number[];
  /** `length`: max_new_tokens or the position limit was reached; `stopped`: `onToken` returned false. */
  readonly reason: 'eos' | 'length' | 'stopped';
}

/**
 * Called for each new token, in the order of the rows; false ends the row.
 * @param logits [vocabulary] that the token was chosen by, before any option acted on them; theirs during the call only
 */
export type OnToken = (row: number, id: number, logits: Float32Array) => boolean | void;

/** Continues rows of tokens with one model; compiled once. */
export interface Generator {
  /**
   * Continues each prompt on its own. All prompts run as one batch: memory grows with their number.
   *
   * @param prompts token ids, of any lengths from 1 to the decoder's `positionLimit` − 1
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
  /** Of prompt and answer. */
  length: number;
  readonly seen: Set<number>;
  readonly rng: Random;
  reason: GeneratedRow['reason'] | undefined;
}

/**
 * Compiles a model with methods for decoding and generates with it, see {@link createDecoder} and
 * {@link generatorOf}.
 */
export async function createGenerator(setup: DecoderSetup): Promise<Generator> {
  return generatorOf(await createDecoder(setup));
}

/**
 * Generates with a decoder: the prompts in one run, then one token per row and run behind all tokens before. A row
 * that ends leaves the batch.
 */
export function generatorOf(decoder: Decoder): Generator {
  const { vocabSize, positionLimit, startTokenId } = decoder;
  return {
    async generate(prompts, options, onToken) {
      const settings = generateSettings(options);
      prompts.forEach((prompt, row) => checkPrompt(prompt, row, vocabSize, positionLimit));
      if (prompts.length === 0) return [];
      const rows = prompts.map((prompt, index): Row => ({
        index,
        ids: [],
        length: prompt.length,
        seen: new Set(startTokenId === undefined ? prompt : [startTokenId]),
        rng: random(settings.seed, 'generate', index),
        reason: undefined,
      }));
      const reading = decoder.read(rows.length, settings.tasks.length === 0 ? undefined : settings.tasks);
      let [active, tokens] = [rows, promptTokens(prompts)];
      while (active.length > 0) {
        const logits = await reading.run(tokens);
        active.forEach((row, at) => {
          const own = logits.subarray(at * vocabSize, (at + 1) * vocabSize);
          extend(row, own, settings, positionLimit, onToken);
        });
        const kept = active.flatMap((row, at) => (row.reason === undefined ? [at] : []));
        reading.keepRows(kept);
        active = kept.map((at) => active[at]!);
        tokens = nextTokens(
          active.map((row) => row.ids.at(-1)!),
          active.map((row) => row.length - 1),
        );
      }
      return rows.map(({ ids, reason }) => ({ ids, reason: reason! }));
    },
    dispose: () => decoder.dispose(),
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
  const stopped = onToken?.(row.index, id, logits) === false;
  if (settings.eos_token_id.includes(id)) row.reason = 'eos';
  else if (stopped) row.reason = 'stopped';
  else if (row.ids.length >= settings.max_new_tokens || row.length >= positionLimit) row.reason = 'length';
}
