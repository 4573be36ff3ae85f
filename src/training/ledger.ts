import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { TrainingOptions } from '../config/schema.js';
import { BestSoFar, createBest } from './bestMetric.js';
import type { Metrics } from './evaluate.js';
import { metricsOf } from './heldOut.js';

const MetricsSchema = Type.Object({
  loss: Type.Number(),
  tokenAccuracy: Type.Number(),
  rowAccuracy: Type.Number(),
  macroF1: Type.Optional(Type.Number()),
  rows: Type.Number(),
  supervisedTokens: Type.Number(),
});
const Evaluated = Type.Object({ step: Type.Integer({ minimum: 0 }), metrics: MetricsSchema });
type Evaluated = Static<typeof Evaluated>;

const Memory = Type.Object({
  steps: Type.Integer({ minimum: 0 }),
  lossSum: Type.Number(),
  initial: Type.Optional(MetricsSchema),
  latest: Type.Optional(Evaluated),
  owed: Type.Optional(Type.Integer({ minimum: 1 })),
  bestEvaluation: Type.Optional(Evaluated),
  best: BestSoFar,
});

/** What the loop remembers of the steps and evaluations behind it. */
export interface Ledger {
  stepped(loss: number): void;
  /** The evaluation after a step is due. A checkpoint that is written before it is made says so. */
  owe(step: number): void;
  /** Whether a resumed run has to make up for the evaluation after the step of its checkpoint. */
  owes(step: number): boolean;
  /**
   * Whether the evaluation is the best so far, and whether it is time for an early end.
   * @param counts false: it can be neither
   */
  evaluated(
    step: number,
    metrics: Metrics,
    counts?: boolean,
  ): { readonly improved: boolean; readonly stop: boolean };
  best(): Evaluated | undefined;
  /** The run's metrics under Transformers' names. */
  metrics(step: number): Record<string, number>;
  toJson(): JsonObject;
}

/**
 * @param saved what {@link Ledger.toJson} gave before
 * @throws ProblemError `resume.state`
 */
export function openLedger(options: TrainingOptions, saved?: JsonObject): Ledger {
  if (saved !== undefined && !Value.Check(Memory, saved)) {
    return fail({
      code: 'resume.state',
      message: l10n.t`the checkpoint's memory is damaged: ${Value.Errors(Memory, saved).First()?.path ?? ''}`,
      mend: l10n.t`Remove this checkpoint; the run can be resumed from an older one.`,
    });
  }
  let { steps, lossSum, initial, latest, owed, bestEvaluation } = saved ?? { steps: 0, lossSum: 0 };
  const best = createBest(options, saved?.best);
  return {
    stepped(loss) {
      steps++;
      lossSum += loss;
    },
    owe: (step) => (owed = step),
    owes: (step) => owed === step,
    evaluated(step, metrics, counts = true) {
      owed = undefined;
      if (step === 0) initial = metrics;
      latest = { step, metrics };
      if (!counts) return { improved: false, stop: false };
      const verdict = best.consider(step, metrics);
      if (verdict.improved) bestEvaluation = latest;
      return verdict;
    },
    best: () => bestEvaluation,
    metrics: (step) => ({
      ...(initial === undefined ? {} : metricsOf('initial_eval', initial)),
      ...(steps === 0 ? {} : { train_loss: lossSum / steps }),
      // An older evaluation is not that of the result.
      ...(latest === undefined || latest.step !== step ? {} : metricsOf('eval', latest.metrics)),
    }),
    toJson: () =>
      // Leaves out what is not there yet.
      JSON.parse(
        JSON.stringify({ steps, lossSum, initial, latest, owed, bestEvaluation, best: best.toJson() }),
      ) as JsonObject,
  };
}
