import type { Example } from './example.js';

/**
 * Rows with tokens put before them that are not supervised: the virtual tokens of prompt tuning. In an encoder-decoder
 * they stand before what the encoder reads.
 *
 * @param prefixOf the ids before rows of a task, as many for each
 */
export function withPrefix(
  examples: readonly Example[],
  prefixOf: (task: number) => readonly number[],
): readonly Example[] {
  const masked = prefixOf(0).map(() => 0 as const);
  if (masked.length === 0) return examples;
  return examples.map((example) => {
    const prefix = prefixOf(example.task ?? 0);
    return {
      ...example,
      ...(example.types === undefined ? {} : { types: [...masked, ...example.types] }),
      ...(example.source === undefined
        ? { ids: [...prefix, ...example.ids], supervised: [...masked, ...example.supervised] }
        : { source: [...prefix, ...example.source] }),
    };
  });
}
