import { fail } from '../../../src/common/problem.js';
import type { ChatMessage, Tokenizer } from '../../../src/models/tokenizer.js';

const SPECIALS = ['<s>', '</s>', '<|endoftext|>', '<|im_start|>', '<|im_end|>'];

export interface FakeOptions {
  readonly eos?: string;
  readonly bos?: string;
  /** What the post-processor adds behind a text, as BERT's does. */
  readonly suffix?: string;
  readonly template?: (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;
}

/** One token per character; special tokens are one token each and are found in text, as in real tokenizers. */
export function fakeTokenizer(options: FakeOptions = {}): Tokenizer {
  const { eos = '</s>', bos, suffix = '', template } = options;
  const id = (piece: string): number => {
    const special = SPECIALS.indexOf(piece);
    return special >= 0 ? special : SPECIALS.length + piece.codePointAt(0)!;
  };
  const pieces = (text: string): string[] => text.match(/<s>|<\/s>|<\|[a-z_]+\|>|[\s\S]/gu) ?? [];
  return {
    vocabSize: SPECIALS.length + 0x110000,
    bosTokenId: bos === undefined ? undefined : id(bos),
    eosTokenId: eos === '' ? undefined : id(eos),
    eosTokenIds: eos === '' ? [] : [id(eos)],
    padTokenId: undefined,
    chatTemplate: template && 'a template',
    encode: (text, { addSpecialTokens = true } = {}) =>
      pieces(addSpecialTokens ? (bos ?? '') + text + suffix : text).map(id),
    encodePair(text, pair) {
      const first = pieces((bos ?? '') + text + suffix);
      const second = pieces(pair + suffix);
      return {
        ids: [...first, ...second].map(id),
        types: [...first.map(() => 0), ...second.map(() => 1)],
      };
    },
    decode: (ids) => ids.map((one) => SPECIALS[one] ?? String.fromCodePoint(one - SPECIALS.length)).join(''),
    applyChatTemplate: (messages, { addGenerationPrompt }) =>
      template?.(messages, addGenerationPrompt) ?? fail({ code: 'test.no-template', message: 'No template.' }),
    files: () => Promise.resolve(new Map()),
  };
}

/** The layout of ChatML. */
export function chatMl(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
  return (
    messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('') +
    (addGenerationPrompt ? '<|im_start|>assistant\n' : '')
  );
}

/** What is supervised, as text; the rest as dots, one per token. */
export function supervisedText(row: { ids: readonly number[]; supervised: readonly number[] }): string {
  const { decode } = fakeTokenizer();
  return row.ids.map((one, i) => (row.supervised[i] === 1 ? decode([one]) : '.')).join('');
}
