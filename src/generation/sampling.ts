import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Random } from '../common/random.js';
import type { SamplingOptions } from './options.js';

/**
 * Chooses a row's next token. In Transformers' order: repetition penalty, temperature, top-k, top-p.
 *
 * @param logits [vocabulary]; left as it is
 * @param seen ids of prompt and answer so far, behind an encoder of the answer alone
 * @throws ProblemError `generation.non-finite`
 */
export function chooseToken(
  logits: Float32Array,
  seen: ReadonlySet<number>,
  options: Required<SamplingOptions>,
  rng: Random,
): number {
  const scores = options.repetition_penalty === 1 ? logits : penalize(logits, seen, options.repetition_penalty);
  if (options.temperature === 0) return mostLikely(scores);
  return draw(tokenProbabilities(scores, options), rng.uniform());
}

/**
 * Id of the largest logit, the first where several are equal.
 * @throws ProblemError `generation.non-finite` where a logit is NaN or +∞, or none is finite
 */
export function mostLikely(logits: Float32Array): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (Number.isNaN(logit) || logit === Infinity) nonFinite(id, logit);
    if (logit > logits[best]!) best = id;
  }
  if (!Number.isFinite(logits[best])) nonFinite(best, logits[best]);
  return best;
}

/**
 * Logits with those of seen tokens divided by the penalty where positive and multiplied where negative, each
 * token once however often it was seen (Keskar et al. 2019, section 4.1, in the sign-aware form of Transformers).
 */
export function penalize(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): Float32Array {
  const penalized = logits.slice();
  for (const id of seen) penalized[id] = logits[id]! < 0 ? logits[id]! * penalty : logits[id]! / penalty;
  return penalized;
}

/**
 * Probabilities [vocabulary] to draw from: softmax(logits / temperature) on the tokens that top-k (Fan et al.
 * 2018) and then top-p (Holtzman et al. 2020, section 3.1) leave, 0 elsewhere.
 *
 * Tokens as likely as the k-th are all kept. Of tokens as likely as the last that top-p needs, those of the
 * lowest ids are kept, no more than needed; one token is kept always.
 *
 * @throws ProblemError `generation.non-finite`
 */
export function tokenProbabilities(
  logits: Float32Array,
  options: { readonly temperature: number; readonly top_k: number; readonly top_p: number },
): Float64Array {
  const { temperature, top_k: topK, top_p: topP } = options;
  const largest = logits[mostLikely(logits)]!;
  const least = topK > 0 && topK < logits.length ? kthLargest(logits, topK) : -Infinity;
  // The largest is taken off before the division: nothing overflows, however low the temperature.
  const probabilities = Float64Array.from(logits, (logit) =>
    logit < least ? 0 : Math.exp((logit - largest) / temperature),
  );
  normalize(probabilities);
  if (topP < 1) keepNucleus(probabilities, topP);
  return probabilities;
}

/**
 * The id at which the running sum of probabilities passes `uniform`; never one of probability 0.
 * @param uniform in [0, 1)
 */
export function draw(probabilities: Float64Array, uniform: number): number {
  let rest = uniform;
  let chosen = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (probabilities[id] === 0) continue;
    // Where rounding leaves the whole sum below `uniform`, the last possible token is meant.
    chosen = id;
    rest -= probabilities[id]!;
    if (rest < 0) break;
  }
  return chosen;
}

function kthLargest(values: Float32Array, k: number): number {
  const ascending = values.slice().sort();
  return ascending[ascending.length - k]!;
}

/** Zeroes, in place, what is not among the fewest most likely tokens that reach `mass`; sums to 1 again. */
function keepNucleus(probabilities: Float64Array, mass: number): void {
  const ascending = probabilities.slice().sort();
  let first = ascending.length;
  let sum = 0;
  do sum += ascending[--first]!;
  while (sum < mass && first > 0);
  const least = ascending[first]!;
  let equals = ascending.subarray(first).reduce((count, value) => count + Number(value === least), 0);
  for (let id = 0; id < probabilities.length; id++) {
    const probability = probabilities[id]!;
    if (probability > least || (probability === least && equals-- > 0)) continue;
    probabilities[id] = 0;
  }
  normalize(probabilities);
}

function normalize(weights: Float64Array): void {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  for (let id = 0; id < weights.length; id++) weights[id]! /= sum;
}

function nonFinite(id: number, logit: number | undefined): never {
  return fail({
    code: 'generation.non-finite',
    message: l10n.t`the model's logit of token ${id} is ${String(logit)}`,
    expected: l10n.t`finite logits`,
    mend: l10n.t`Weights or adapter have overflowed: train again with a lower learning rate.`,
  });
}
