import { fail } from '../../src/common/problem.js';

/** The sizes that initial weights need, from a Llama `config.json`. */
export interface Sizes {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  /** Standard deviation of initial weights. */
  readonly range: number;
}

/** Reads them from the file's text; throws a ProblemError that names a missing key. */
export function parseConfig(file: string, text: string): Sizes {
  const config: unknown = JSON.parse(text);
  const entries = new Map(typeof config === 'object' && config !== null ? Object.entries(config) : []);
  const positive = (key: string): number => {
    const value: unknown = entries.get(key);
    if (typeof value === 'number' && value > 0) return value;
    return fail({
      code: 'base-model.config',
      message: `${key} is ${JSON.stringify(value) ?? 'missing'}.`,
      where: { file },
      expected: 'a number above zero',
      mend: 'Take config.json back from version control.',
    });
  };
  return {
    hidden: positive('hidden_size'),
    intermediate: positive('intermediate_size'),
    layers: positive('num_hidden_layers'),
    heads: positive('num_attention_heads'),
    keyValueHeads: positive('num_key_value_heads'),
    headSize: positive('head_dim'),
    vocabulary: positive('vocab_size'),
    range: positive('initializer_range'),
  };
}
