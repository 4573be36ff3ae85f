import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import type { TrainingOptions } from '../config/schema.js';
import type { Metrics } from './evaluate.js';

/** What {@link createBest} remembers, as a checkpoint keeps it. */
export const BestSoFar = Type.Object({
  /** The best evaluation and its metric; absent before the first. */
  best: Type.Optional(Type.Object({ step: Type.Integer({ minimum: 1 }), value: Type.Number() })),
  /** Evaluations since the metric improved by more than the threshold. */
  waited: Type.Integer({ minimum: 0 }),
});
export type BestSoFar = Static<typeof BestSoFar>;

/** The best evaluation of a run, and whether it is worth going on. */
export interface Best {
  /** Takes the evaluation after an optimizer step in. */
  consider(step: number, metrics: Metrics): { readonly improved: boolean; readonly stop: boolean };
  toJson(): BestSoFar;
}

/**
 * Keeps the best value of `metric_for_best_model` as Transformers' `Trainer` does, and counts evaluations without
 * improvement as its `EarlyStoppingCallback`: one that is better than the best before it by more than
 * `early_stopping_threshold` starts the count anew. A smaller gain is the new best all the same. As there, the model
 * before the first step (step 0) takes no part.
 *
 * @param saved what {@link Best.toJson} gave before
 */
export function createBest(options: TrainingOptions, saved: BestSoFar = { waited: 0 }): Best {
  let { best, waited } = saved;
  const { metric_for_best_model: metric, early_stopping_patience: patience } = options;
  return {
    consider(step, metrics) {
      if (step === 0) return { improved: false, stop: false };
      const { value, sign } = METRICS[metric](metrics);
      const gain = best === undefined ? Infinity : sign * (value - best.value);
      waited = gain > options.early_stopping_threshold ? 0 : waited + 1;
      const improved = gain > 0;
      if (improved) best = { step, value };
      return { improved, stop: patience !== undefined && waited >= patience };
    },
    toJson: () => ({ ...(best === undefined ? {} : { best }), waited }),
  };
}

/** The metric, and 1 where more is better, −1 where less is. */
const METRICS: Readonly<
  Record<TrainingOptions['metric_for_best_model'], (metrics: Metrics) => { value: number; sign: 1 | -1 }>
> = {
  eval_loss: ({ loss }) => ({ value: loss, sign: -1 }),
  eval_token_accuracy: ({ tokenAccuracy }) => ({ value: tokenAccuracy, sign: 1 }),
  eval_row_accuracy: ({ rowAccuracy }) => ({ value: rowAccuracy, sign: 1 }),
  eval_accuracy: ({ rowAccuracy }) => ({ value: rowAccuracy, sign: 1 }),
  eval_macro_f1: ({ macroF1 = 0 }) => ({ value: macroF1, sign: 1 }),
};
