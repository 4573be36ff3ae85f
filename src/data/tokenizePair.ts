import * as l10n from '@vscode/l10n';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Content } from './content.js';
import { encodeSource, endText, stripEnd } from './endOfText.js';
import type { Tokenized } from './tokenize.js';

/**
 * A row for an encoder-decoder: the encoder reads the prompt, the decoder the token that starts it and the answer with
 * its end, all of which is supervised, as Transformers' labels are (it shifts them behind the start). Each side keeps
 * `maxLength` tokens: of a source the end token as well, as tokenizers cut; an answer that was cut does not end.
 *
 * @param start the token that the decoder begins with
 */
export function tokenizePair(content: Content, tokenizer: Tokenizer, maxLength: number, start: number): Tokenized {
  if (content.kind !== 'completion') {
    return { status: 'broken', reason: l10n.t`an encoder-decoder needs a prompt and an answer` };
  }
  const { text, foreign } = stripEnd(content.completion, endText(tokenizer));
  const whole = encodeSource(content.prompt, tokenizer);
  if (whole.length === 0) return { status: 'broken', reason: l10n.t`the prompt is empty` };
  const end = tokenizer.eosTokenId;
  const source = whole.slice(0, maxLength);
  if (whole.length > maxLength && whole.at(-1) === end) source.splice(-1, 1, whole.at(-1)!);
  const answer = text === '' ? [] : tokenizer.encode(text, { addSpecialTokens: false });
  const all = [start, ...answer, ...(end === undefined ? [] : [end])];
  const ids = all.slice(0, maxLength);
  const truncated = whole.length > maxLength || all.length > maxLength;
  if (ids.length < 2) return { status: 'unsupervised', truncated };
  return {
    status: 'kept',
    ids,
    supervised: ids.map((_, at) => (at === 0 ? 0 : 1)),
    source,
    truncated,
    foreignEnd: foreign,
    endless: end === undefined,
    emptyAnswer: text.trim() === '',
  };
}
