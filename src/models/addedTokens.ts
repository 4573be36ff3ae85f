import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';

/**
 * All tokens that are matched in the text before it is split, as Transformers collects them: `added_tokens` of
 * `tokenizer.json`, then `added_tokens_decoder` of `tokenizer_config.json`, then the special tokens that
 * neither names (`eos_token` and its like, when the vocabulary has them).
 */
export function collectAddedTokens(
  tokenizer: JsonObject,
  config: JsonObject,
  specialTokens: readonly string[],
): JsonObject[] {
  const listed = tokenizer['added_tokens'];
  const tokens = Array.isArray(listed) ? (listed as readonly Json[]).filter(isJsonObject) : [];
  const contents = new Set(tokens.map((token) => token['content']));
  const add = (id: number, token: JsonObject): void => {
    if (contents.has(token['content']!)) return;
    contents.add(token['content']!);
    tokens.push({ ...token, id });
  };
  const decoder = config['added_tokens_decoder'];
  for (const [id, token] of isJsonObject(decoder) ? Object.entries(decoder) : []) {
    if (isJsonObject(token) && typeof token['content'] === 'string' && /^\d+$/.test(id)) add(Number(id), token);
  }
  for (const content of specialTokens) {
    const id = vocabularyId(tokenizer['model'], content);
    if (id !== undefined) add(id, { content, special: true, normalized: false });
  }
  return tokens;
}

function vocabularyId(model: Json | undefined, token: string): number | undefined {
  const vocab = isJsonObject(model) ? model['vocab'] : undefined;
  if (isJsonObject(vocab)) {
    const id = Object.hasOwn(vocab, token) ? vocab[token] : undefined;
    return typeof id === 'number' ? id : undefined;
  }
  // Unigram: a list of [token, score].
  const at = Array.isArray(vocab)
    ? (vocab as readonly Json[]).findIndex((entry) => Array.isArray(entry) && entry[0] === token)
    : -1;
  return at < 0 ? undefined : at;
}
