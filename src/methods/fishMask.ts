import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { checkedFisher } from './fisher.js';
import type { MethodInfo } from './info.js';
import { markLargest } from './largest.js';
import type { Method } from './method.js';
import { attachDeltas } from './sparseDelta.js';
import { sparseConfig, sparseFormat } from './sparseDeltaConfig.js';
import { keepRatio, keptCount, preparedPlaces, sparseTargets } from './sparsePlaces.js';
import { TargetOptions } from './targets.js';

/** FISH Mask's options; defaults are those of the authors' code. */
export const FishMaskOptions = Type.Object(
  {
    type: Type.Literal('fish_mask'),
    keep_ratio: keepRatio(0.005),
    num_samples: Type.Integer({
      minimum: 1,
      default: 1024,
      description: 'Training rows that the Fisher information is taken from, one gradient each.',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type FishMaskOptions = Static<typeof FishMaskOptions>;

const INFO: MethodInfo<typeof FishMaskOptions> = {
  type: 'fish_mask',
  family: 'selective',
  place: 'learned',
  title: 'FISH Mask',
  summary:
    'Trains the few numbers of the weights that matter most to the data, chosen once by Fisher information.',
  paper: {
    authors: 'Sung, Nair & Raffel',
    year: 2021,
    title: 'Training Neural Networks with Fixed Sparse Masks',
    arxiv: '2111.09839',
  },
  engines: ['embedded'],
  mergeable: true,
  options: FishMaskOptions,
};

const PEFT_TYPE = 'FISH_MASK';

/** Beside the places: from how many rows they were found. */
const ROWS = '#rows';

/**
 * FISH Mask (Sung, Nair & Raffel 2021): the numbers of the targeted weights with the largest diagonal of the empirical
 * Fisher information, F̂ = 1/N Σᵢ (∇ log p(yᵢ | xᵢ))² (eq. 6), train; the others stay. The mask is taken once, before the
 * run, by one gradient per row with the true labels, and its threshold is one for all weights. See `attachDeltas` for
 * what trains; of equal numbers the first are chosen.
 */
export const fishMask: Method<typeof FishMaskOptions> = {
  info: INFO,
  async prepare(options, context) {
    const targets = sparseTargets(INFO.type, options, context);
    const names = [...targets.weights.keys()];
    const { squares, batches } = await context.squaredGradients({
      weights: names,
      batchSize: 1,
      batches: options.num_samples,
    });
    // The mean over the rows would have the same order as their sum.
    const { parts } = checkedFisher(names, squares);
    const marks = markLargest(parts, keptCount(options.keep_ratio, targets));
    return preparedPlaces(targets, marks, { [ROWS]: batches });
  },
  check: (options, context) => void keptCount(options.keep_ratio, sparseTargets(INFO.type, options, context)),
  attach: (options, context) =>
    attachDeltas(options, context, {
      ...INFO,
      config: sparseConfig(PEFT_TYPE, options, context),
      warnings: rowWarnings(options, context.prepared?.get(ROWS)?.[0]),
    }),
  peft: sparseFormat(PEFT_TYPE, INFO),
};

function rowWarnings({ num_samples: asked }: FishMaskOptions, rows: number | undefined): Problem[] {
  if (rows === undefined || rows >= asked) return [];
  return [
    {
      code: 'fish-mask.rows',
      severity: 'warning',
      message: l10n.t`the mask was taken from ${rows} rows, all that there are, instead of ${asked} (num_samples)`,
      mend: l10n.t`Nothing to do, unless more data are at hand.`,
    },
  ];
}
