import type { Tokenizer } from '../models/tokenizer.js';
import type { Example } from './example.js';

/**
 * An example as a person can check it: consecutive tokens with the same mask, decoded together, special tokens
 * shown. What is marked supervised is what the loss counts, of a row with a class its name. In an encoder-decoder the source comes first.
 */
export function sampleSpans(
  example: Example,
  tokenizer: Tokenizer,
  labels: readonly string[] = [],
): { text: string; supervised: boolean }[] {
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: false });
  const spans: { text: string; supervised: boolean }[] = [];
  if (example.source !== undefined) spans.push({ text: decode(example.source), supervised: false });
  for (let start = 0, end = 0; start < example.ids.length; start = end) {
    const mask = example.supervised[start];
    while (end < example.ids.length && example.supervised[end] === mask) end++;
    spans.push({ text: decode(example.ids.slice(start, end)), supervised: mask === 1 });
  }
  const label = example.label === undefined ? undefined : labels[example.label];
  return label === undefined ? spans : [...spans, { text: ` → ${label}`, supervised: true }];
}
