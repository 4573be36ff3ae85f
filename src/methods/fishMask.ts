import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import type { Problem } from '../common/problem.js';
import { checkedFisher } from './fisher.js';
import { idleOptions } from './idleOptions.js';
import type { MethodInfo } from './info.js';
import { markLargest } from './largest.js';
import type { Method } from './method.js';
import { rowWarnings } from './rowWarnings.js';
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
      description: 'Training rows that the Fisher information is taken from, each by itself.',
    }),
    fisher: Type.Union(
      [
        Type.Literal('empirical', { description: 'By the answers that the rows have.' }),
        Type.Literal('expected', { description: 'By answers as the model itself would give them.' }),
      ],
      {
        default: 'empirical',
        description:
          'Whose answers the Fisher information is taken with: `empirical` those of the rows, `expected` the model’s own: ' +
          'all classes by their probability, or tokens drawn from what it predicts.',
      },
    ),
    num_draws: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'Answers drawn for each row where `fisher` is `expected`; of classes all are taken instead.',
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
 * FISH Mask (Sung, Nair & Raffel 2021): the numbers of the targeted weights with the largest diagonal of the Fisher
 * information train; the others stay. The mask is taken once, before the run, and its threshold is one for all weights.
 * See `attachDeltas` for what trains; of equal numbers the first are chosen. A head for classes trains whole in any case,
 * and is not among the N numbers of int(keep_ratio · N); the authors' code takes its size off that count.
 *
 * By default it is the empirical one, F̂ = 1/N Σᵢ (∇ log p(yᵢ | xᵢ))² (eq. 6), with the true labels. The expected one,
 * F = 1/N Σᵢ E (∇ log p(y | xᵢ))² over y ~ p(y | xᵢ), takes all classes as the authors' code does. Answers of a language
 * model are too many: each supervised token is drawn from what the model predicts there, after the true tokens before it.
 */
export const fishMask: Method<typeof FishMaskOptions> = {
  info: INFO,
  async prepare(options, context) {
    const targets = sparseTargets(INFO.type, options, context);
    const names = [...targets.weights.keys()];
    const { squares, rows } = await context.fisher({
      weights: names,
      rows: options.num_samples,
      fisher: options.fisher,
      draws: options.num_draws,
    });
    // The mean over the rows would have the same order as their sum.
    const { parts } = checkedFisher(names, squares);
    const marks = markLargest(parts, keptCount(options.keep_ratio, targets));
    return preparedPlaces(targets, marks, { [ROWS]: rows });
  },
  check: (options, context) => void keptCount(options.keep_ratio, sparseTargets(INFO.type, options, context)),
  attach: (options, context) =>
    attachDeltas(options, context, {
      ...INFO,
      config: sparseConfig(PEFT_TYPE, options, context),
      warnings: [...rowWarnings(options.num_samples, context.prepared?.get(ROWS)?.[0]), ...idleDraws(options)],
    }),
  peft: sparseFormat(PEFT_TYPE, INFO),
};

function idleDraws(options: FishMaskOptions): readonly Problem[] {
  if (options.fisher === 'expected') return [];
  const { num_draws } = FishMaskOptions.properties;
  return idleOptions(options, { num_draws }, { option: 'fisher', value: options.fisher }, 'fisher: expected');
}
