import type { Tokenizer } from '../models/tokenizer.js';

/**
 * End markers that data sets carry as literal text. `</s>` is left out: in running text it may be markup, so it
 * is taken off only where it is the tokenizer's own.
 */
const KNOWN_ENDS = ['<|endoftext|>', '<|end_of_text|>', '<|im_end|>', '<|eot_id|>'] as const;

/** Takes the tokenizer's own end-of-text marker off the end of a text, since its id is added after. */
export function stripOwnEnd(text: string, ownEnd: string | undefined): string {
  const trimmed = text.trimEnd();
  return ownEnd && trimmed.endsWith(ownEnd) ? trimmed.slice(0, -ownEnd.length) : text;
}

/** {@link stripOwnEnd}, or a known marker of other models, which is then named as `foreign`. */
export function stripEnd(text: string, ownEnd: string | undefined): { text: string; foreign?: string } {
  const own = stripOwnEnd(text, ownEnd);
  if (own !== text) return { text: own };
  const trimmed = text.trimEnd();
  const foreign = KNOWN_ENDS.find((end) => trimmed.endsWith(end));
  return foreign === undefined ? { text } : { text: trimmed.slice(0, -foreign.length), foreign };
}

/** The tokenizer's end-of-text marker as text. */
export function endText(tokenizer: Tokenizer): string | undefined {
  const id = tokenizer.eosTokenId;
  return id === undefined ? undefined : tokenizer.decode([id], { skipSpecialTokens: false });
}

/** Ids of what an encoder reads: a prompt with all special tokens that the tokenizer adds, in T5's case its end. */
export function encodeSource(text: string, tokenizer: Tokenizer): number[] {
  return tokenizer.encode(text, { addSpecialTokens: true });
}

/** Ids of a prompt as training reads it: an encoder's source, or the first segment of a row. */
export function promptIds(text: string, tokenizer: Tokenizer): number[] {
  return tokenizer.decoderStartId === undefined ? encodeStart(text, tokenizer) : encodeSource(text, tokenizer);
}

/**
 * Ids of the first segment of a row: special tokens in front as the tokenizer adds them, none behind (a BERT or
 * T5 tokenizer would end the row there), and no second beginning-of-text where the text already writes one.
 */
export function encodeStart(text: string, tokenizer: Tokenizer): number[] {
  const plain = text === '' ? [] : tokenizer.encode(text, { addSpecialTokens: false });
  const bos = tokenizer.bosTokenId;
  if (bos !== undefined && plain[0] === bos) return plain;
  const full = tokenizer.encode(text, { addSpecialTokens: true });
  const added = full.length - plain.length;
  if (added <= 0) return full;
  if (plain.length === 0) return full[0] === bos ? full.slice(0, 1) : [];
  for (let front = 0; front <= added; front++) {
    if (plain.every((id, i) => full[front + i] === id)) return full.slice(0, front + plain.length);
  }
  return full;
}
