import type { Tokenizer } from '../models/tokenizer.js';

/** What decoders write for bytes that are no whole character (yet). */
const INCOMPLETE = '\uFFFD';

/** Tokens of one character: no character has more bytes, and each may be a token of its own. */
const MOST_PARTS = 8;

/**
 * The text that each token adds to the row; joined, they are the row's text. Of tokens that make one character
 * together, the last has it and the others have `''`. Special tokens have theirs.
 */
export function tokenTexts(ids: readonly number[], tokenizer: Tokenizer): string[] {
  const decode = (from: number, to: number): string =>
    tokenizer.decode(ids.slice(from, to), { skipSpecialTokens: false });
  const texts: string[] = [];
  // Decoded together with the token before: many decoders take the space off the first word of what they are given.
  let before = 0;
  let since = 0;
  for (let end = 1; end <= ids.length; end++) {
    const text = decode(before, end).slice(decode(before, since).length);
    if (text.endsWith(INCOMPLETE) && end < ids.length && end - since < MOST_PARTS) {
      texts.push('');
      continue;
    }
    texts.push(text);
    before = since;
    since = end;
  }
  return texts;
}

/** Tells which ids are special tokens, which a decoder may leave out; asked once for each id. */
export function specialTokens(tokenizer: Tokenizer): (id: number) => boolean {
  const known = new Map<number, boolean>();
  return (id) => {
    const told = known.get(id);
    if (told !== undefined) return told;
    const special =
      tokenizer.decode([id], { skipSpecialTokens: true }) === '' &&
      tokenizer.decode([id], { skipSpecialTokens: false }) !== '';
    known.set(id, special);
    return special;
  };
}
