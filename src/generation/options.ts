import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/** How tokens are chosen; names and meaning as in Transformers' GenerationConfig, except that 0 is greedy. */
export interface SamplingOptions {
  /** Divides the logits; 0 (the default) takes the most likely token always. */
  readonly temperature?: number;
  /** Only the k most likely tokens are drawn from; 0 (the default): all. */
  readonly top_k?: number;
  /** Only the fewest most likely tokens that together reach this probability; 1 (the default): all. */
  readonly top_p?: number;
  /** Above 1: tokens of prompt and answer become less likely; 1 (the default): no effect. */
  readonly repetition_penalty?: number;
}

export interface GenerateOptions extends SamplingOptions {
  /** Tokens to generate at most, per row; default 128. */
  readonly max_new_tokens?: number;
  /** Ids that end a row; default none. */
  readonly eos_token_id?: readonly number[];
  /** Row i draws from the stream (seed, 'generate', i); default 0. */
  readonly seed?: number;
  /** The task of each row, by its place among those that the methods tell apart; default: the decoder's. */
  readonly tasks?: readonly number[];
}

/** Options with every default filled in. */
export type GenerateSettings = Required<GenerateOptions>;

/** What an option is where it is not given. */
export const GENERATE_DEFAULTS: GenerateSettings = {
  temperature: 0,
  top_k: 0,
  top_p: 1,
  repetition_penalty: 1,
  max_new_tokens: 128,
  eos_token_id: [],
  seed: 0,
  tasks: [],
};

/**
 * Fills in the defaults and checks every option.
 * @throws ProblemError `generation.option` naming the option, what was found and what is allowed
 */
export function generateSettings(options: GenerateOptions): GenerateSettings {
  const check = (name: keyof GenerateOptions, fits: (value: number) => boolean, expected: string): number => {
    const value = options[name] ?? GENERATE_DEFAULTS[name];
    if (typeof value === 'number' && Number.isFinite(value) && fits(value)) return value;
    return fail({ code: 'generation.option', message: l10n.t`${name} is ${String(value)}`, expected });
  };
  return {
    temperature: check('temperature', (value) => value >= 0, l10n.t`a number from 0 (greedy) on`),
    top_k: check(
      'top_k',
      (value) => Number.isSafeInteger(value) && value >= 0,
      l10n.t`a whole number from 0 (all) on`,
    ),
    top_p: check('top_p', (value) => value >= 0 && value <= 1, l10n.t`a number between 0 and 1 (all)`),
    repetition_penalty: check('repetition_penalty', (value) => value > 0, l10n.t`a number above 0 (1: no effect)`),
    max_new_tokens: check(
      'max_new_tokens',
      (value) => Number.isSafeInteger(value) && value > 0,
      l10n.t`a whole number above 0`,
    ),
    seed: check('seed', Number.isSafeInteger, l10n.t`a whole number`),
    eos_token_id: options.eos_token_id ?? GENERATE_DEFAULTS.eos_token_id,
    tasks: options.tasks ?? GENERATE_DEFAULTS.tasks,
  };
}
