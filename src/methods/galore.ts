import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Site } from '../models/site.js';
import type { Variable } from '../tensor/tensor.js';
import { baseParameters } from './baseParameters.js';
import { projectionOf } from './galoreProjection.js';
import type { Projection } from './galoreProjection.js';
import type { AttachContext, Method, Refresh, Values } from './method.js';
import { coveredParameters } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { OptionProblem, TargetMatch } from './targets.js';
import { wholeTensors } from './wholeTensors.js';

/** GaLore's options, under the names and with the defaults of its authors' optimizers and of Transformers' `Trainer`. */
export const GaloreOptions = Type.Object(
  {
    type: Type.Literal('galore'),
    rank: Type.Integer({
      minimum: 1,
      default: 128,
      description:
        'Rank of the subspace in which the optimizer of a matrix lives: its moments are [rows, rank] or [rank, columns].',
    }),
    update_proj_gap: Type.Integer({
      minimum: 1,
      default: 200,
      description: 'Optimizer steps after which the subspaces are found anew, from the gradient of the step.',
    }),
    scale: Type.Number({
      exclusiveMinimum: 0,
      default: 0.25,
      description: 'α: what an update is multiplied by when it is taken back into the full matrix.',
    }),
    proj_type: Type.Union(
      [
        Type.Literal('std'),
        Type.Literal('reverse_std'),
        Type.Literal('right'),
        Type.Literal('left'),
        Type.Literal('full'),
      ],
      {
        default: 'std',
        description:
          'The sides from which gradients are projected: `std` the shorter side of each matrix, `reverse_std` the longer one, `left` rows, `right` columns, `full` both.',
      },
    ),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type GaloreOptions = Static<typeof GaloreOptions>;

/**
 * GaLore (Zhao et al. 2024, algorithm 2): every weight trains, but the optimizer of the targeted matrices sees their gradient
 * G [m, n] in a subspace of rank r, so that its moments are [m, r] or [r, n]:
 *
 *     every `update_proj_gap` steps, the first included: U, S, V ← SVD(G)
 *     m ≥ n: R = G·V_r,  G̃ = α·ρ(R)·V_rᵀ;   m < n: R = U_rᵀ·G,  G̃ = α·U_r·ρ(R);   W ← W − η·G̃
 *
 * ρ is the optimizer's rule: Adam's, or that of `optim`. The singular vectors are those of the gradient of the very step
 * that they are first used in, whose batches are gone through once more for it; they are exact (linalg/svd.ts).
 *
 * As in the authors' code (`galore-torch`): moments stay what they are over a change of the subspace, in coordinates that
 * then mean something else; decay comes last; all that is not targeted (norms, biases, embeddings, output layer) has the
 * plain optimizer. Bias correction and ε are those of the paper's algorithm, which are also PyTorch's; the authors' code
 * leaves ε uncorrected. A matrix whose shorter side is at most `rank` is rotated rather than reduced, as there.
 */
export const galore: Method<typeof GaloreOptions> = {
  info: {
    type: 'galore',
    family: 'low-rank',
    place: 'gradients of all weights',
    title: 'GaLore',
    summary: 'Trains every weight; the optimizer of matrices lives in a low-rank subspace of their gradients.',
    paper: {
      authors: 'Zhao, Zhang, Chen, Wang, Anandkumar & Tian',
      year: 2024,
      title: 'GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection',
      arxiv: '2403.03507',
    },
    engines: ['embedded'],
    mergeable: false,
    guidesItself: true,
    options: GaloreOptions,
  },
  attach(options, context) {
    const { model } = context;
    const match = matchTargets(options, model.sites, isProjectable, context.idlePatterns);
    const parameters = [...baseParameters(context).values()];
    const targeted = new Set(match.sites.map(({ weight }) => weight));
    const projected = parameters
      .filter(({ site, kind }) => kind === 'weight' && targeted.has(site.weight))
      .map((parameter) => ({ parameter, projection: projectionOf(parameter.variable, options) }));
    const ruleOf = new Map(projected.map(({ parameter, projection }) => [parameter.variable, projection.rule]));
    const whole = wholeTensors(parameters, context, 'values');
    return {
      type: 'galore',
      hooks: whole.hooks,
      trainables: whole.trainables.map((each) => {
        const rule = ruleOf.get(each.variable);
        return rule === undefined ? each : { ...each, slots: rule };
      }),
      state: projected.flatMap(({ projection }) => projection.state),
      refresh: refreshOf(projected, options.update_proj_gap),
      report: () =>
        projected.map(({ parameter: { site }, projection: { rank } }) => ({
          path: site.path,
          rank,
          scale: options.scale,
        })),
      coverage: {
        targets: [
          ...match.entries,
          {
            entry: l10n.t`all other weights, with the plain optimizer`,
            matched: parameters.length - projected.length,
          },
        ],
        modules: coveredParameters(parameters),
        layersCovered: model.layers,
        saves: l10n.t`model.safetensors with every weight, config.json and the tokenizer: a whole model folder`,
        warnings: [...match.warnings, ...notReduced(options, projected, match, context)],
      },
      save: (values) => ({ kind: 'model', weights: whole.tensors(values) }),
      load: whole.load,
    };
  },
};

interface Projected {
  readonly parameter: TrainedParameter;
  readonly projection: Projection;
}

function isProjectable({ kind, weight }: Site): boolean {
  return kind === 'linear' && weight !== undefined;
}

/** Finds the subspaces of all matrices, one after the other. */
function refreshOf(projected: readonly Projected[], gap: number): Refresh {
  return {
    of: projected.map(({ parameter }) => parameter.variable),
    isDue: ({ step }) => (step - 1) % gap === 0,
    async refreshed({ at, gradients, state, weightWork }) {
      const found = new Map<string, Float32Array>();
      const overlaps: Overlap[] = [];
      for (const [done, { parameter, projection }] of projected.entries()) {
        await weightWork.progress(done, projected.length);
        const bases = await projection.refreshed(gradientOf(parameter.variable, gradients), weightWork);
        for (const [name, numbers] of bases) found.set(name, numbers);
        const share = await projection.overlap(state, bases, weightWork);
        if (share !== undefined) overlaps.push({ path: parameter.site.path, share });
      }
      return { state: found, says: told(at.step, projected.length, overlaps) };
    },
  };
}

function gradientOf({ name }: Variable, gradients: Values): Float32Array {
  return gradients.get(name)!;
}

/** How much of a matrix's new subspace lies within its old one. */
interface Overlap {
  readonly path: string;
  readonly share: number;
}

function told(step: number, count: number, overlaps: readonly Overlap[]): string {
  const [first] = overlaps;
  if (first === undefined) return l10n.t`Step ${step}: the subspaces of ${count} matrices are found.`;
  const percent = (share: number): string => (100 * share).toFixed(0);
  const mean = overlaps.reduce((sum, { share }) => sum + share, 0) / overlaps.length;
  const least = overlaps.reduce((low, each) => (each.share < low.share ? each : low), first);
  const most = overlaps.reduce((high, each) => (each.share > high.share ? each : high), first);
  return l10n.t`Step ${step}: the subspaces of ${count} matrices are found anew; on average ${percent(mean)} % of each lies within the one before (${percent(least.share)} % at ${least.path}, ${percent(most.share)} % at ${most.path}).`;
}

/** @throws ProblemError `galore.rank` where no matrix is larger than the rank */
function notReduced(
  { rank }: GaloreOptions,
  projected: readonly Projected[],
  { sites }: TargetMatch<Site>,
  { idlePatterns }: AttachContext,
): OptionProblem[] {
  const shorter = ({ parameter }: Projected): number =>
    Math.min(...(parameter.variable.shape as readonly number[]));
  const whole = projected.filter((each) => shorter(each) <= rank);
  if (whole.length === 0) return [];
  const largest = Math.max(...projected.map(shorter));
  const problem: OptionProblem = {
    code: 'galore.rank',
    message:
      whole.length === projected.length
        ? l10n.t`rank ${rank} is that of the whole matrices: none of the ${sites.length} targeted ones has more than ${largest} rows and columns`
        : l10n.t`rank ${rank} is that of whole matrices: ${whole.length} of the ${sites.length} targeted ones have no more rows or columns than that, such as ${whole[0]!.parameter.site.path}, and save nothing`,
    expected: l10n.t`a rank below ${largest}`,
    mend: l10n.t`Lower rank.`,
    option: ['rank'],
  };
  if (whole.length < projected.length) return [{ ...problem, severity: 'warning' }];
  return idlePatterns === 'gather' ? [problem] : fail(problem);
}
