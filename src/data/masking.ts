import type { Random } from '../common/random.js';
import type { Example } from './example.js';

/** What a token is replaced by that is to be guessed. */
export interface Masking {
  readonly maskTokenId: number;
  /** Ids below it are drawn in place of a token. */
  readonly vocabSize: number;
}

/** How the tokens of a batch are masked. */
export interface Masked {
  readonly masking: Masking;
  /** Draws which and by what: another one for each batch of a run. */
  readonly random: Random;
}

/** Share of a text's tokens that are to be guessed, and shares of these that are masked, or replaced by any token. */
const CHOSEN = 0.15;
const MASKED = 0.8;
const REPLACED = 0.1;

/** How many of a text's tokens are to be guessed: at least one, if there are any. */
export function chosenCount(candidates: number): number {
  return candidates === 0 ? 0 : Math.max(1, Math.round(CHOSEN * candidates));
}

/** How many tokens of a row are to be guessed: those that may be are supervised. */
export function maskedCount({ supervised }: Pick<Example, 'supervised'>): number {
  return chosenCount(supervised.reduce<number>((sum, bit) => sum + bit, 0));
}

/**
 * Masks tokens of a row as BERT's pretraining does (Devlin et al. 2019, section 3.1): of 15 % of them, 8 of 10 become the
 * mask, 1 of 10 any token of the vocabulary, 1 of 10 stays.
 *
 * @returns the ids that the model reads, and the places of those to be guessed, ascending
 */
export function maskTokens(
  example: Pick<Example, 'ids' | 'supervised'>,
  { masking, random }: Masked,
): { readonly ids: number[]; readonly places: readonly number[] } {
  const candidates = [...example.ids.keys()].filter((at) => example.supervised[at] === 1);
  const count = maskedCount(example);
  for (let at = 0; at < count; at++) {
    const other = at + random.integer(candidates.length - at);
    [candidates[at], candidates[other]] = [candidates[other]!, candidates[at]!];
  }
  const places = candidates.slice(0, count).sort((a, b) => a - b);
  const ids = [...example.ids];
  for (const place of places) {
    const drawn = random.uniform();
    if (drawn < MASKED) ids[place] = masking.maskTokenId;
    else if (drawn < MASKED + REPLACED) ids[place] = random.integer(masking.vocabSize);
  }
  return { ids, places };
}
