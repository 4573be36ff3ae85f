import * as l10n from '@vscode/l10n';
import type { Values } from '../methods/method.js';
import { createEvaluator } from './evaluate.js';
import type { Metrics } from './evaluate.js';
import type { RankQuality } from './events.js';
import type { FrozenRows } from './frozenOutputs.js';
import { breathe, longest, secondsSince } from './job.js';
import type { TrainingJob } from './job.js';

/** Evaluations on the held-out rows along a run. */
export interface HeldOut {
  /** Evaluates and says so; undefined when a stop broke it off: its numbers would be those of some rows only. */
  evaluate(step: number, values: Values): Promise<Metrics | undefined>;
  dispose(): Promise<void>;
}

/**
 * Undefined when the job has no held-out rows.
 * @param frozen what frozen layers give for them; absent: they are computed
 */
export async function createHeldOut(job: TrainingJob, frozen?: FrozenRows): Promise<HeldOut | undefined> {
  if (job.validation.length === 0) return undefined;
  const evaluator = await createEvaluator({
    ...job,
    frozen,
    positionLimit: longest(job.validation),
    batchSize: job.options.per_device_eval_batch_size,
  });
  const measured = (values: Values, activity: string): Promise<Metrics> =>
    evaluator.evaluate(job.validation, values, async (done, total) => {
      job.emit({ type: 'progress', activity, done, total });
      await breathe();
      return !job.stopRequested();
    });
  /** The same at lower ranks, where a method names some; what a stop breaks off is not told. */
  const byRank = async (step: number, found: Metrics, values: Values): Promise<void> => {
    for (const { lowerRanks = [], report } of job.methods) {
      const own = report?.(values, true)[0]?.rank;
      if (lowerRanks.length === 0 || own === undefined) continue;
      const ranks = [qualityAt(own, found)];
      for (const { rank, values: at } of lowerRanks.filter((each) => each.rank < own)) {
        const lower = await measured(at(values), l10n.t`Evaluating at rank ${rank}`);
        if (lower.rows < job.validation.length) return;
        ranks.push(qualityAt(rank, lower));
      }
      job.emit({ type: 'rank-evaluation', step, ranks: ranks.sort((a, b) => a.rank - b.rank) });
    }
  };
  return {
    async evaluate(step, values) {
      const since = performance.now();
      const found = await measured(values, l10n.t`Evaluating`);
      if (found.rows < job.validation.length) return undefined;
      if (Number.isFinite(found.loss)) {
        job.emit({ type: 'evaluation', step, split: 'validation', ...found, seconds: secondsSince(since) });
        for (const method of job.methods) {
          const sites = method.observed?.(evaluator.observed()) ?? [];
          if (sites.length > 0) job.emit({ type: 'attention', step, sites });
        }
        await byRank(step, found, values);
      }
      return found;
    },
    dispose: () => evaluator.dispose(),
  };
}

function qualityAt(rank: number, { loss, tokenAccuracy, rowAccuracy, macroF1 }: Metrics): RankQuality {
  return { rank, loss, tokenAccuracy, rowAccuracy, ...(macroF1 === undefined ? {} : { macroF1 }) };
}

/** Metrics under Transformers' names: `eval_loss`, `eval_token_accuracy`, … */
export function metricsOf(prefix: string, found: Metrics): Record<string, number> {
  if (found.macroF1 !== undefined) {
    return {
      [`${prefix}_loss`]: found.loss,
      [`${prefix}_accuracy`]: found.rowAccuracy,
      [`${prefix}_macro_f1`]: found.macroF1,
    };
  }
  return {
    [`${prefix}_loss`]: found.loss,
    [`${prefix}_token_accuracy`]: found.tokenAccuracy,
    [`${prefix}_row_accuracy`]: found.rowAccuracy,
  };
}
