import type { Example } from './example.js';

/** Rows with tokens put before them that are not supervised: the virtual tokens of prompt tuning. */
export function withPrefix(examples: readonly Example[], prefix: readonly number[]): readonly Example[] {
  if (prefix.length === 0) return examples;
  const masked = prefix.map(() => 0 as const);
  return examples.map((example) => ({
    ...example,
    ids: [...prefix, ...example.ids],
    supervised: [...masked, ...example.supervised],
  }));
}
