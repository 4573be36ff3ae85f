import { promptIds } from '../data/endOfText.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { GeneratedRow, Generator } from './generate.js';
import type { GenerateOptions } from './options.js';
import { createTextStream } from './textStream.js';

export interface GeneratedText extends GeneratedRow {
  /** The answer without the prompt; special tokens and the end-of-text token left out. */
  readonly text: string;
}

/**
 * Continues texts.
 *
 * @param prompts texts are encoded as they are in training: special tokens in front as the tokenizer adds them, none
 *   behind, unless an encoder reads them; token ids (of a chat template, which writes its special tokens itself) are taken as they are
 * @param options ids that end a row default to the tokenizer's that end a generation
 * @param onText called after each token with the text it made certain, whole characters only and often ''; false
 *   ends the row
 * @throws ProblemError as {@link Generator.generate} and the tokenizer do
 */
export async function generateText(
  generator: Generator,
  tokenizer: Tokenizer,
  prompts: readonly (string | readonly number[])[],
  options: GenerateOptions,
  onText?: (row: number, piece: string) => boolean | void,
): Promise<GeneratedText[]> {
  const encoded = prompts.map((prompt) => (typeof prompt === 'string' ? promptIds(prompt, tokenizer) : prompt));
  const streams = encoded.map((ids) => createTextStream(tokenizer, ids));
  const ends = options.eos_token_id ?? tokenizer.eosTokenIds;
  const rows = await generator.generate(encoded, { ...options, eos_token_id: ends }, (row, id) => {
    // The end-of-text token is no text, even where the tokenizer does not mark it as special.
    if (ends.includes(id)) return true;
    // The stream takes each token, also where nobody listens.
    const piece = streams[row]!.push(id);
    return onText?.(row, piece);
  });
  return rows.map((row, index) => {
    const stream = streams[index]!;
    const rest = stream.finish();
    if (rest !== '') onText?.(index, rest);
    return { ...row, text: stream.text() };
  });
}
