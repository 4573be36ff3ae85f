import type { Tokenizer } from '../models/tokenizer.js';
import type { Example } from './example.js';

/**
 * An example as a person can check it: consecutive tokens with the same mask, decoded together, special tokens
 * shown. What is marked supervised is what the loss counts.
 */
export function sampleSpans(example: Example, tokenizer: Tokenizer): { text: string; supervised: boolean }[] {
  const spans: { text: string; supervised: boolean }[] = [];
  for (let start = 0, end = 0; start < example.ids.length; start = end) {
    const mask = example.supervised[start];
    while (end < example.ids.length && example.supervised[end] === mask) end++;
    const text = tokenizer.decode(example.ids.slice(start, end), { skipSpecialTokens: false });
    spans.push({ text, supervised: mask === 1 });
  }
  return spans;
}
