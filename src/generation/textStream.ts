import type { Tokenizer } from '../models/tokenizer.js';

/** Turns the tokens of one answer into text, piece by piece. */
export interface TextStream {
  /** Takes a token; returns the text that is certain now and was not before, often ''. */
  push(id: number): string;
  /** The text that was held back. */
  finish(): string;
  /** All of the text, special tokens left out. */
  text(): string;
}

/**
 * Prompt tokens that are decoded along with the answer: many decoders take the space off the first word of what
 * they are given, so the answer alone would lose the space between it and the prompt.
 */
const CONTEXT = 8;

/** What decoders write for bytes that are no whole character (yet). */
const INCOMPLETE_END = /\uFFFD+$/;

/**
 * Decodes all tokens so far at every step and passes on what is new, except for characters of which only some
 * bytes are there: those wait for the rest. Pieces in a row are the text, unless the tokenizer's decoder takes
 * back what it wrote (byte tokens that never become a character): then the stream ends before that place.
 */
export function createTextStream(tokenizer: Tokenizer, prompt: readonly number[]): TextStream {
  // An encoder-decoder's answer is a text of its own.
  const context = tokenizer.decoderStartId === undefined ? prompt.slice(-CONTEXT) : [];
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  const start = decode(context).length;
  const ids: number[] = [];
  const text = (): string => decode([...context, ...ids]).slice(start);
  let passed = '';
  const pass = (certain: string): string => {
    if (!certain.startsWith(passed)) return '';
    const piece = certain.slice(passed.length);
    passed = certain;
    return piece;
  };
  return {
    push(id) {
      ids.push(id);
      return pass(text().replace(INCOMPLETE_END, ''));
    },
    finish: () => pass(text()),
    text,
  };
}
