import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';

/**
 * GPT-2's word pattern (Radford et al. 2019): what `ByteLevel` splits by. As Oniguruma reads it, `\s` is
 * Unicode white space.
 */
export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** Word pattern of Llama 3 and Qwen 2: they differ in how many digits make a word. */
export const wordPattern = (digits: string): string =>
  [
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`,
    String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`,
    digits,
    String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`,
    String.raw`\s*[\r\n]+`,
    String.raw`\s+(?!\S)`,
    String.raw`\s+`,
  ].join('|');

/** Patterns that are known to end on any text. */
const KNOWN_PATTERNS: ReadonlySet<string> = new Set([
  GPT2_PATTERN,
  wordPattern(String.raw`\p{N}`),
  wordPattern(String.raw`\p{N}{1,3}`),
  String.raw`\p{N}`,
  String.raw`\p{N}+`,
]);

/** Whether a part of a `tokenizer.json` has a regular expression that is not known to end on any text. */
export function hasForeignPattern(part: Json | undefined): boolean {
  if (typeof part !== 'object' || part === null) return false;
  return Object.entries(part).some(([key, value]: [string, Json]) =>
    key === 'Regex' ? typeof value !== 'string' || !KNOWN_PATTERNS.has(value) : hasForeignPattern(value),
  );
}

/**
 * The `pre_tokenizer` of a `tokenizer.json` in the form in which the JavaScript library gives the ids of the
 * Rust one. The library's `Digits` knows ASCII digits only and its `ByteLevel` uses JavaScript's white space;
 * its `Split` follows Oniguruma. So both are written as a `Split`, with the same meaning.
 */
export function exactPreTokenizer(config: Json | undefined): Json {
  if (!isJsonObject(config)) return null;
  switch (config['type']) {
    case 'Sequence': {
      const parts = config['pretokenizers'];
      return { ...config, pretokenizers: Array.isArray(parts) ? parts.map(exactPreTokenizer) : [] };
    }
    case 'Digits':
      return split(config['individual_digits'] === true ? String.raw`\p{N}` : String.raw`\p{N}+`);
    case 'ByteLevel': {
      // A prefix space comes before the split and only at the text's start: left to the library.
      const splits = config['use_regex'] !== false && config['add_prefix_space'] !== true;
      return splits
        ? { type: 'Sequence', pretokenizers: [split(GPT2_PATTERN), { ...config, use_regex: false }] }
        : config;
    }
    default:
      return config;
  }
}

/** Cuts a text at every match, and keeps matches and what lies between. */
export function split(pattern: string): JsonObject {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
}
