import type { LoraHub } from '../adapters/combining/loraHub.js';
import { boxSearch } from '../linalg/boxSearch.js';
import { bestTrial } from './composition/record.js';
import type { HubTrial } from './composition/trial.js';

/** How weights are looked for: the paper's numbers are the defaults of the command line. */
export interface HubSearch {
  /** How many mixtures are tried. */
  readonly budget: number;
  /** Weights stay within ± this. */
  readonly bound: number;
  /** α of α·mean|w|, which is added to the loss. */
  readonly regularization: number;
}

export interface HubFound {
  /** Of the least objective; the first where none is finite. */
  readonly best: HubTrial;
  /** In order; the first has all weights 0, and is the base model. */
  readonly trials: readonly HubTrial[];
}

/**
 * The weights of a LoRAHub mixture that suit a few examples (Huang et al. 2023, eq. 2), without gradients: COBYLA from w = 0, which is what
 * nevergrad's Shiwa chooses here (see `boxSearch`). The loss is the mean over the supervised tokens of all examples; in the authors'
 * code it is the sum of the batches' means over the number of examples, so that α counts more there.
 *
 * @param lossAt the loss of the examples with a mixture's numbers
 * @param onTrial called after each mixture; may throw to end the search
 */
export async function searchHub(
  hub: Pick<LoraHub, 'valuesAt'>,
  count: number,
  { budget, bound, regularization }: HubSearch,
  lossAt: (values: ReturnType<LoraHub['valuesAt']>) => Promise<number>,
  onTrial: (trial: HubTrial, done: number) => Promise<void>,
): Promise<HubFound> {
  const trials: HubTrial[] = [];
  await boxSearch(
    async (weights) => {
      const loss = await lossAt(hub.valuesAt(weights));
      const size = weights.reduce((sum, each) => sum + Math.abs(each), 0) / count;
      const penalty = regularization * size;
      const trial = { weights: [...weights], loss, penalty, objective: loss + penalty };
      trials.push(trial);
      await onTrial(trial, trials.length);
      return trial.objective;
    },
    { start: new Float64Array(count), lower: -bound, upper: bound },
    budget,
  );
  return { best: trials[bestTrial(trials) ?? 0]!, trials };
}
