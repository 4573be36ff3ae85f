/** What byte-pair encoding learned: the tokens in order of their ids, and the merges in order of their rank. */
export interface Bpe {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [left: string, right: string])[];
}

/** GPT-2's split of text into words (Radford et al. 2019), the space kept at the word's beginning. */
const word = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/**
 * The printable character that stands for each byte in a byte-level vocabulary, as GPT-2 has it: printable Latin-1
 * bytes stand for themselves, the others for the characters from U+0100 on, in order.
 */
export function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte <= 0xff && byte !== 0xad);
    return String.fromCodePoint(printable ? byte : next++);
  });
}

/** The pieces that no merge crosses: each digit alone, then GPT-2's words; in byte characters. */
export function splitWords(text: string): string[] {
  const characters = byteCharacters();
  const encoder = new TextEncoder();
  return text
    .split(/(\p{N})/u)
    .flatMap((piece) => piece.match(word) ?? [])
    .map((piece) => Array.from(encoder.encode(piece), (byte) => characters[byte]!).join(''));
}

/**
 * Byte-pair encoding (Sennrich, Haddow and Birch 2016) on counted words: starting from the 256 bytes, merges the most
 * frequent pair of neighbours (ties: the pair with the lower ids) until there are `size` tokens or no pair is left
 * that occurs twice. `counts` holds the words in byte characters.
 */
export function trainBpe(counts: ReadonlyMap<string, number>, size: number): Bpe {
  const tokens = byteCharacters();
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const words = [...counts].map(([text, count]) => ({ parts: Array.from(text, (c) => ids.get(c)!), count }));
  // A pair is one number, left · size + right, so that it can be a map's key.
  const pairCounts = new Map<number, number>();
  const pairWords = new Map<number, Set<number>>();
  const add = (index: number, sign: 1 | -1): void => {
    const { parts, count } = words[index]!;
    for (let i = 1; i < parts.length; i++) {
      const pair = parts[i - 1]! * size + parts[i]!;
      pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + sign * count);
      const holders = pairWords.get(pair) ?? new Set();
      pairWords.set(pair, holders.add(index));
    }
  };
  words.forEach((_, index) => add(index, 1));

  const merges: [string, string][] = [];
  while (tokens.length < size) {
    let [best, bestCount] = [-1, 1];
    for (const [pair, count] of pairCounts) {
      if (count > bestCount || (count === bestCount && best >= 0 && pair < best))
        [best, bestCount] = [pair, count];
    }
    if (best < 0) break;
    const [left, right] = [Math.floor(best / size), best % size];
    const merged = tokens.length;
    merges.push([tokens[left]!, tokens[right]!]);
    tokens.push(tokens[left]! + tokens[right]!);
    for (const index of pairWords.get(best)!) {
      add(index, -1);
      words[index]!.parts = mergePair(words[index]!.parts, left, right, merged);
      add(index, 1);
    }
    pairCounts.delete(best);
    pairWords.delete(best);
  }
  return { tokens, merges };
}

function mergePair(parts: readonly number[], left: number, right: number, merged: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === left && parts[i + 1] === right) {
      result.push(merged);
      i++;
    } else result.push(parts[i]!);
  }
  return result;
}
