import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { random } from '../../common/random.js';
import type { LanguageModel } from '../../models/architecture.js';

/** Largest difference of logits between adapter applied and merged, over max(1, largest logit): float32's noise. */
const TOLERANCE = 1e-4;
const ROWS = 4;
/** Enough for every layer's attention to mix positions. */
const LENGTH = 24;

/** Token rows on which models are compared: always the same for a vocabulary. [4][24] */
export function probeRows(model: LanguageModel): number[][] {
  const generator = random(0, 'merge', model.vocabSize);
  const length = Math.min(LENGTH, model.maxPositions);
  return Array.from({ length: ROWS }, () => Array.from({ length }, () => generator.integer(model.vocabSize)));
}

/** Largest absolute difference; NaN where either holds something that is not finite. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return Number.isFinite(largest) ? largest : NaN;
}

/**
 * The largest difference between the logits of the adapter applied and of the merged weights, both float32.
 * @throws ProblemError `merge.not-equal` when it is more than rounding explains, `merge.non-finite`
 */
export function checkMerged(applied: Float32Array, merged: Float32Array, file: string): number {
  const difference = largestDifference(applied, merged);
  if (Number.isNaN(difference)) {
    fail({
      code: 'merge.non-finite',
      message: applied.every(Number.isFinite)
        ? l10n.t`logits of the merged model are not finite; nothing was written`
        : l10n.t`logits of the base model with the adapter are not finite; nothing was written`,
      where: { file },
      mend: l10n.t`Inspect the adapter: if its run diverged, train again with a lower learning rate.`,
    });
  }
  const scale = applied.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
  if (difference > TOLERANCE * scale) {
    fail({
      code: 'merge.not-equal',
      message: l10n.t`the merged model's logits differ by ${difference.toExponential(2)} from those of the base model with the adapter; nothing was written`,
      where: { file },
      expected: l10n.t`at most ${(TOLERANCE * scale).toExponential(2)} in float32`,
      mend: l10n.t`Keep using the adapter beside its base, and report this with the adapter_config.json.`,
    });
  }
  return difference;
}
