import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import type { TrainingOptions } from '../config/schema.js';
import type { Metrics } from './evaluate.js';

/** What {@link createBest} remembers, as a checkpoint keeps it. */
export const BestSoFar = Type.Object({
  /** The metric of the best evaluation; absent before the first. */
  value: Type.Optional(Type.Number()),
  /** Evaluations since the metric improved by more than the threshold. */
  waited: Type.Integer({ minimum: 0 }),
});
export type BestSoFar = Static<typeof BestSoFar>;

/** The best evaluation of a run, and whether it is worth going on. */
export interface Best {
  /** Takes an evaluation in. */
  consider(metrics: Metrics): { readonly improved: boolean; readonly stop: boolean };
  toJson(): BestSoFar;
}

/**
 * Keeps the best value of `metric_for_best_model`, and counts evaluations without improvement as Transformers'
 * `EarlyStoppingCallback` does: one that is better than the best so far by more than `early_stopping_threshold` starts
 * the count anew.
 */
export function createBest(options: TrainingOptions, saved: BestSoFar = { waited: 0 }): Best {
  let { value: best, waited } = saved;
  const patience = options.early_stopping_patience;
  return {
    consider(metrics) {
      const value = METRICS[options.metric_for_best_model](metrics);
      const gain =
        best === undefined
          ? Infinity
          : options.metric_for_best_model === 'eval_loss'
            ? best - value
            : value - best;
      waited = gain > options.early_stopping_threshold ? 0 : waited + 1;
      if (gain > 0) best = value;
      return { improved: gain > 0, stop: patience !== undefined && waited >= patience };
    },
    toJson: () => ({ ...(best === undefined ? {} : { value: best }), waited }),
  };
}

const METRICS: Readonly<Record<TrainingOptions['metric_for_best_model'], (metrics: Metrics) => number>> = {
  eval_loss: (metrics) => metrics.loss,
  eval_token_accuracy: (metrics) => metrics.tokenAccuracy,
  eval_row_accuracy: (metrics) => metrics.rowAccuracy,
};
