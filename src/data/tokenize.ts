import * as l10n from '@vscode/l10n';
import type { Tokenizer } from '../models/tokenizer.js';
import { isEncoderTask } from '../models/task.js';
import type { TaskType } from '../models/task.js';
import type { Content } from './content.js';
import { tokenizeForEncoder } from './encoderRow.js';
import { encodeStart, endText, stripEnd, stripOwnEnd } from './endOfText.js';
import { tokenizeChat } from './tokenizeChat.js';
import type { Masked } from './tokenizeChat.js';
import { tokenizePair } from './tokenizePair.js';

export interface TokenizeOptions {
  /** Most tokens kept; the rest is cut off at the end. */
  readonly maxLength: number;
  readonly trainOnPrompt: boolean;
  /** Default: CAUSAL_LM. */
  readonly task?: TaskType;
}

/** What became of a row. */
export type Tokenized =
  | {
      readonly status: 'kept';
      /** [length] */
      readonly ids: readonly number[];
      /** [length] */
      readonly supervised: readonly (0 | 1)[];
      /** What the encoder of an encoder-decoder reads. */
      readonly source?: readonly number[];
      /** Which of two texts a token is of; absent where there is one. */
      readonly types?: readonly number[];
      readonly truncated: boolean;
      /** An end marker of another model that was replaced by the tokenizer's. */
      readonly foreignEnd?: string;
      /** The row does not end in, or its answers do not hold, the end-of-text token: nothing teaches to stop. */
      readonly endless: boolean;
      /** The answer is blank but for its end: all the row teaches is to stop at once. */
      readonly emptyAnswer: boolean;
    }
  | { readonly status: 'unsupervised'; readonly truncated: boolean }
  | { readonly status: 'broken'; readonly reason: string };

/**
 * Turns a row into token ids with a supervision mask. The mask goes by position, never by token id, so that a
 * padding token equal to the end-of-text token cannot unteach the end.
 *
 * Prompt and completion are tokenized apart and their ids joined: the boundary is exact and the prompt's ids
 * are those that generation will see. Where the prompt ends inside a word or a space, the joined text may
 * have tokenized otherwise. The completion ends in the end-of-text token, once, supervised. Plain text is
 * supervised whole. The first token of a row is never supervised, since nothing predicts it. For an encoder-decoder see
 * {@link tokenizePair}, for an encoder {@link tokenizeForEncoder}.
 */
export function tokenizeRow(content: Content, tokenizer: Tokenizer, options: TokenizeOptions): Tokenized {
  if (options.task !== undefined && isEncoderTask(options.task)) {
    return tokenizeForEncoder(content, tokenizer, options.maxLength);
  }
  if (content.kind === 'classification')
    return { status: 'broken', reason: l10n.t`the row has a class, no answer` };
  const start = tokenizer.decoderStartId;
  if (start !== undefined) return tokenizePair(content, tokenizer, options.maxLength, start);
  const end = endText(tokenizer);
  let foreign: string | undefined;
  let emptyAnswer = false;
  let row: Masked | { reason: string };
  if (content.kind === 'chat') row = tokenizeChat(content.messages, tokenizer, options.trainOnPrompt);
  else {
    // Plain text may show other models' markers, at its end too: they are left as they are.
    const answer: ReturnType<typeof stripEnd> =
      content.kind === 'text' ? { text: stripOwnEnd(content.text, end) } : stripEnd(content.completion, end);
    foreign = answer.foreign;
    emptyAnswer = answer.text.trim() === '';
    row =
      content.kind === 'text'
        ? join([], encodeStart(answer.text, tokenizer), tokenizer.eosTokenId, true)
        : join(
            encodeStart(content.prompt, tokenizer),
            answer.text === '' ? [] : tokenizer.encode(answer.text, { addSpecialTokens: false }),
            tokenizer.eosTokenId,
            options.trainOnPrompt,
          );
  }
  if ('reason' in row) return { status: 'broken', reason: row.reason };
  const endless = !row.ids.some((id, i) => id === tokenizer.eosTokenId && row.supervised[i] === 1);
  const truncated = row.ids.length > options.maxLength;
  const ids = row.ids.slice(0, options.maxLength);
  const supervised = row.supervised.slice(0, options.maxLength);
  if (supervised.length > 0) supervised[0] = 0;
  if (!supervised.includes(1)) return { status: 'unsupervised', truncated };
  return { status: 'kept', ids, supervised, truncated, foreignEnd: foreign, endless, emptyAnswer };
}

function join(prompt: number[], answer: number[], eos: number | undefined, trainOnPrompt: boolean): Masked {
  const ids = eos === undefined ? [...prompt, ...answer] : [...prompt, ...answer, eos];
  return { ids, supervised: ids.map((_, i) => (trainOnPrompt || i >= prompt.length ? 1 : 0)) };
}
