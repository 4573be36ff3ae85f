import { bestTrial } from '../../../../src/engines/composition/record.js';
import type { HubRecord } from '../../../../src/engines/composition/record.js';

/** A search over `imdb` and `trec` of trials with given weights and losses, with the best trial's weights, of 40 that were to be tried. */
export function recordOf(
  trials: readonly (readonly [weights: readonly number[], loss: number | null])[],
  change: Partial<HubRecord> = {},
): HubRecord {
  const tried = trials.map(([weights, loss]) => ({
    weights,
    loss,
    objective:
      loss === null
        ? null
        : loss + (0.05 * weights.reduce((sum, each) => sum + Math.abs(each), 0)) / weights.length,
  }));
  const best = tried[bestTrial(tried) ?? -1];
  return {
    adapters: ['imdb', 'trec'].map((name, at) => ({
      folder: `/w/runs/${name}/1/adapter`,
      weight: best?.weights[at] ?? 0,
    })),
    base: '/w/base',
    data: ['/w/five-rows.jsonl'],
    rows: 5,
    tokens: 12,
    budget: 40,
    bound: 1.5,
    regularization: 0.05,
    trials: tried,
    ...change,
  };
}
