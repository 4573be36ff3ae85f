import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { mul } from '../tensor/ops/elementwise.js';
import { input, variable } from '../tensor/tensor.js';
import { PruningOptions, checkPruning, isPruned, prunedAllocation } from './doraRankSchedule.js';
import { componentUpdates, meanVariance } from './doraRankScores.js';
import { uniformNumbers } from './loraStart.js';
import { mergePair, pairNorm } from './lowRankPair.js';
import type { AttachContext, Attached, Method, StepPlace, Trainable } from './method.js';
import { parameterSize } from './parameters.js';
import { plainLora } from './plainLora.js';
import { rankAllocation } from './rankAllocation.js';
import type { Allocation } from './rankAllocation.js';
import { finishedPair, loadedPairs } from './savedComponents.js';
import { folded, scaledPair, scaledPairOutput, scaledPairSize } from './scaledPair.js';
import type { ScaledPair } from './scaledPair.js';
import { TargetOptions } from './targets.js';
import type { OptionProblem } from './targets.js';
import { targetPairs } from './targetPairs.js';

/** Options of DoRA's dynamic ranks: LoRA's under PEFT's names, the others under the names of the authors' code. */
export const DoraRankOptions = Type.Object(
  {
    type: Type.Literal('dora_rank'),
    r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description: 'Mean rank of the modules in the end.',
    }),
    start_rank: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 4096,
        description: 'Rank of every module at first. Default: one and a half times `r`.',
      }),
    ),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description:
        'Scale of the update: ΔW = lora_alpha / start_rank · Σ c_i·b_i·a_iᵀ, whatever the rank becomes.',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0.1,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    ...PruningOptions,
    sensitivity_beta: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0.9,
      description: 'Share of the old average in the smoothed importance of a component.',
    }),
    regularization_loss_alpha: Type.Number({
      minimum: 0,
      default: 0.1,
      description:
        'Weight of a further term of the loss until the last pruning: the mean variance within the vectors a_i and b_i (DEM).',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type DoraRankOptions = Static<typeof DoraRankOptions>;

/**
 * DoRA, Dynamic Low-Rank Adaptation (Mao et al. 2024; not the weight-decomposed DoRA of Liu et al., which is LoRA's
 * `use_dora`): y = W x + s·Σ c_i·b_i·(a_iᵀ·dropout(x)), s = lora_alpha / start_rank whatever the rank becomes, W frozen. From
 * the share of each component in its module's ΔW follows which of all modules' c become 0, more of them over the middle of
 * the run, until `r` are left in each on average. A c that became 0 goes on training and can come back, until the last pruning.
 *
 * A and B start Kaiming uniform with c at 0, as in the authors' code: the first step moves only c.
 *
 * Exactly the budget's number of components stays: of equal scores the first in the model's order do. (The authors' code
 * sets all to zero whose score is at or below a threshold, and one at least.)
 *
 * Saved as a plain LoRA of the components that are left, with c in A.
 */
export const doraRank: Method<typeof DoraRankOptions> = {
  info: {
    type: 'dora_rank',
    family: 'low-rank',
    place: 'adaptive rank',
    title: 'Dynamic-rank DoRA',
    summary:
      'Learns LoRA as single-rank components, and prunes those with the least share in their module (not `use_dora`).',
    paper: {
      authors: 'Mao, Huang, Guan, Bao, Mo & Xu',
      year: 2024,
      title: 'DoRA: Enhancing Parameter-Efficient Fine-Tuning with Dynamic Rank Distribution',
      arxiv: '2405.17357',
    },
    engines: ['embedded'],
    mergeable: true,
    guidesItself: true,
    options: DoraRankOptions,
  },
  attach(options, context) {
    const start = startRank(options);
    if (start < options.r) {
      const problem: OptionProblem = {
        code: 'dora-rank.rank',
        message: l10n.t`r ${options.r} is above start_rank ${start}: ranks only fall`,
        expected: l10n.t`r of at most ${start}`,
        mend: l10n.t`Raise start_rank (one and a half times r is usual), or lower r.`,
        option: ['start_rank'],
      };
      fail(problem);
    }
    checkPruning(options);
    const { instance = '' } = context;
    const found = targetPairs({ ...options, r: start }, context, ({ kind }) => kind === 'linear');
    const pairs = [...found.pairs.values()].map(({ site, r, scale }) =>
      scaledPair(site, r, scale, instance, 'lora_scaler'),
    );
    return attached(options, context, pairs, found.coverage);
  },
};

/** Components of each pair at first: r' = ⌈1.5·r⌉ by default. */
export function startRank({ r, start_rank: start = Math.ceil(1.5 * r) }: DoraRankOptions): number {
  return start;
}

function attached(
  options: DoraRankOptions,
  context: AttachContext,
  pairs: readonly ScaledPair[],
  coverage: ReturnType<typeof targetPairs>['coverage'],
): Attached {
  const { instance = '' } = context;
  const byPath = new Map(pairs.map((each) => [each.pair.site.path, each]));
  const shares = rankAllocation(pairs, `${instance}dora_rank`);
  const counts = { pairs: pairs.length, start: startRank(options), end: options.r };
  const sensitivity = variable(`${instance}dora_rank.sensitivity`, [counts.pairs * counts.start]);
  const weight = input(`${instance}dora_rank_variance`, 'float32', []);
  const { lora_dropout: rate, regularization_loss_alpha: peak } = options;
  const allocated = (at: StepPlace): Allocation => prunedAllocation(options, counts, at);
  return {
    type: 'dora_rank',
    hooks: {
      output: (site, x, y, { dropoutSeed: seed }) => {
        const own = byPath.get(site.path);
        if (own === undefined) return y;
        return scaledPairOutput(own, x, y, { rate, seed, random: context.random('dropout', site.path) });
      },
    },
    trainables: pairs.flatMap((each) => trainablesOf(each, context)),
    coverage: {
      ...coverage,
      modules: pairs.map((each) => ({
        path: each.pair.site.path,
        shape: each.pair.site.shape,
        trainable: scaledPairSize(each),
      })),
      saves: l10n.t`adapter_model.safetensors with the components that are left and adapter_config.json, a LoRA as Hugging Face PEFT reads it`,
    },
    state: [{ variable: sensitivity }, shares.state],
    regularizers: () => (peak === 0 ? [] : [{ name: 'variance', term: mul(meanVariance(pairs), weight) }]),
    update: (view) => componentUpdates(pairs, sensitivity, options.sensitivity_beta, shares, view),
    stepInputs: (at) => ({
      ...shares.inputs(allocated(at)),
      [weight.name]: {
        dtype: 'float32',
        shape: [],
        data: Float32Array.of(isPruned(options, at) ? 0 : peak),
      },
    }),
    // After the last pruning ranks stay.
    reportsAfter: (at) => allocated(at).allocates && !isPruned(options, at),
    report(values, brief = false) {
      const ranks = shares.ranks(values);
      return pairs.map((each, at) => ({
        path: each.pair.site.path,
        rank: ranks[at]!,
        ...(brief ? {} : { scale: each.pair.scale, norm: pairNorm(each.pair, folded(each, values)) }),
      }));
    },
    rankBudget: (at) => ({ budget: allocated(at).budget, target: counts.pairs * counts.end }),
    merge(site, kind, base, values) {
      const own = byPath.get(site.path);
      return own === undefined || kind === 'bias' ? undefined : mergePair(own.pair, base, folded(own, values));
    },
    save: (values) =>
      plainLora(
        pairs.map((each) => finishedPair(each, values)),
        // Most modules end near the mean rank; all keep the scale that they have.
        { ...options, lora_alpha: (options.lora_alpha / counts.start) * options.r },
        context,
      ),
    load: (tensors, source) => loadedPairs(pairs, context, tensors, source),
  };
}

/** A and B of a site, Kaiming uniform for what reads their output as it is (He et al. 2015, eq. 10: ±√(6 / n)); and c, 0. */
function trainablesOf({ pair: { a, b, r, site }, e }: ScaledPair, context: AttachContext): Trainable[] {
  const uniform = (which: string, size: number, inputs: number): Float32Array => {
    return uniformNumbers(size, Math.sqrt(6 / inputs), context.random('dora_rank', site.path, which));
  };
  const [sizeA, sizeB] = [parameterSize(a.shape), parameterSize(b.shape)];
  return [
    { variable: a, start: () => uniform('A', sizeA, sizeA / r), decays: true },
    { variable: b, start: () => uniform('B', sizeB, r), decays: true },
    { variable: e, start: () => new Float32Array(r), decays: true, group: 'lora_scaler' },
  ];
}
