import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { checkedFisher } from './fisher.js';
import { idleOptions } from './idleOptions.js';
import type { MethodInfo } from './info.js';
import { markLargest } from './largest.js';
import type { Method, Values } from './method.js';
import { rowWarnings } from './rowWarnings.js';
import { attachDeltas } from './sparseDelta.js';
import { sparseConfig, sparseFormat } from './sparseDeltaConfig.js';
import { keepRatio, keptCount, preparedPlaces, sparseTargets, weightSize } from './sparsePlaces.js';
import type { SparseTargets } from './sparsePlaces.js';
import { TargetOptions } from './targets.js';

/** SAM's options; defaults are those of the authors' released command where it has them. */
export const SamOptions = Type.Object(
  {
    type: Type.Literal('sam'),
    keep_ratio: keepRatio(0.005),
    ranking: Type.Union(
      [
        Type.Literal('global', { description: 'The largest of all targeted weights, as in the paper.' }),
        Type.Literal('per_tensor', { description: 'The same share of each weight, as in the authors’ code.' }),
      ],
      {
        default: 'global',
        description:
          'Among what the share is taken: `global` all targeted weights together, as in the paper; `per_tensor` each ' +
          'weight by itself, as in the authors’ code.',
      },
    ),
    num_samples: Type.Integer({
      minimum: 1,
      default: 1024,
      description: 'Training rows that gradients and curvature are taken from.',
    }),
    hessian: Type.Union(
      [
        Type.Literal('constant', { description: 'The same for all numbers: the largest gradients are chosen.' }),
        Type.Literal('hutchinson', { description: 'Estimated with random vectors.' }),
      ],
      {
        default: 'constant',
        description:
          'The diagonal h of the Hessian: `constant`, as in the authors’ released command, so that the largest gradients ' +
          'are chosen; `hutchinson`: estimated with `num_probes` random vectors.',
      },
    ),
    num_probes: Type.Integer({
      minimum: 1,
      default: 10,
      description: 'Random vectors for each row that the diagonal of the Hessian is estimated with.',
    }),
    epsilon: Type.Number({
      exclusiveMinimum: 0,
      default: 0.1,
      description: 'Least |h| that a squared gradient is divided by.',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type SamOptions = Static<typeof SamOptions>;

const INFO: MethodInfo<typeof SamOptions> = {
  type: 'sam',
  family: 'selective',
  place: 'learned',
  title: 'SAM, second-order approximation',
  summary:
    'Trains the numbers that a second-order model of the loss says lower it most. Not sharpness-aware minimization.',
  paper: {
    authors: 'Fu, Yang, So, Lam, Bing & Collier',
    year: 2023,
    title: 'On the Effectiveness of Parameter-Efficient Fine-Tuning',
    arxiv: '2211.15583',
  },
  engines: ['embedded'],
  mergeable: true,
  options: SamOptions,
};

const PEFT_TYPE = 'SAM';

/** Beside the places: from how many rows they were found. */
const ROWS = '#rows';

/**
 * SAM, the second-order approximation method (Fu et al. 2023; sharpness-aware minimization, an option of the training, has
 * only the letters in common). With L(θ₀ + δ) ≈ L + gᵀδ + ½ δᵀ diag(h) δ the best number to free lowers the loss by g²/2h,
 * so that those with the largest score g² / max(|h|, ε) train. g is the gradient of the mean of the rows' losses, signs
 * and all, where Fisher information squares row by row; h is the diagonal of the Hessian of the same loss.
 *
 * What the authors released differs from the paper: h is constant (`hessian: constant`), the share is one of each tensor
 * (`ranking: per_tensor`; of tensors with fewer than 1 / keep_ratio numbers none is kept), dropout is on while gradients
 * are summed, and an unfinished flag makes Hutchinson's estimate from one random vector. Here dropout is off, so that the
 * order of the rows makes no difference, and each probe of a row draws anew.
 */
export const sam: Method<typeof SamOptions> = {
  info: INFO,
  async prepare(options, context) {
    const targets = sparseTargets(INFO.type, options, context);
    const names = [...targets.weights.keys()];
    const request = { weights: names, rows: options.num_samples };
    const { sums: gradients, rows } = await context.rowGradients(request);
    const curvature =
      options.hessian === 'hutchinson'
        ? (await context.hessianDiagonal({ ...request, probes: options.num_probes })).sums
        : undefined;
    const { parts } = checkedFisher(names, samScores(gradients, curvature, rows, options.epsilon));
    return preparedPlaces(targets, marksOf(options, targets, parts), { [ROWS]: rows });
  },
  check: (options, context) => void countsOf(options, sparseTargets(INFO.type, options, context)),
  attach: (options, context) =>
    attachDeltas(options, context, {
      ...INFO,
      config: sparseConfig(PEFT_TYPE, options, context),
      warnings: [...rowWarnings(options.num_samples, context.prepared?.get(ROWS)?.[0]), ...idleOfSam(options)],
    }),
  peft: sparseFormat(PEFT_TYPE, INFO),
};

function idleOfSam(options: SamOptions): readonly Problem[] {
  if (options.hessian === 'hutchinson') return [];
  const { num_probes, epsilon } = SamOptions.properties;
  const because = { option: 'hessian', value: options.hessian };
  return idleOptions(options, { num_probes, epsilon }, because, 'hessian: hutchinson');
}

/**
 * g² / max(|h|, ε) of each number, or g² without h, in place of the gradients.
 *
 * @param gradients summed over the rows, as `curvature` is
 */
export function samScores(
  gradients: Values,
  curvature: Values | undefined,
  rows: number,
  epsilon: number,
): Values {
  for (const [name, values] of gradients) {
    const h = curvature?.get(name);
    values.forEach((sum, at) => {
      const g = sum / rows;
      values[at] = h === undefined ? g * g : (g * g) / Math.max(Math.abs(h[at]! / rows), epsilon);
    });
  }
  return gradients;
}

function marksOf(options: SamOptions, targets: SparseTargets, scores: readonly Float32Array[]): Uint8Array[] {
  const counts = countsOf(options, targets);
  if (typeof counts === 'number') return markLargest(scores, counts);
  return scores.flatMap((part, at) => markLargest([part], counts[at]!));
}

/**
 * How many numbers are kept in all, or of each weight.
 * @throws ProblemError `sparse-delta.nothing`
 */
function countsOf({ ranking, keep_ratio: ratio }: SamOptions, targets: SparseTargets): number | readonly number[] {
  const count = keptCount(ratio, targets);
  if (ranking === 'global') return count;
  const sizes = [...targets.weights.values()].map(weightSize);
  const counts = sizes.map((size) => Math.floor(ratio * size));
  if (counts.every((each) => each === 0)) {
    const largest = Math.max(...sizes);
    fail({
      code: 'sparse-delta.nothing',
      message: l10n.t`keep_ratio ${ratio} is not one number of any weight, the largest of which has ${largest}`,
      expected: l10n.t`a keep_ratio of at least ${(1 / largest).toExponential(1)}`,
      mend: l10n.t`Raise keep_ratio, or rank all weights together (ranking: global).`,
    });
  }
  return counts;
}
