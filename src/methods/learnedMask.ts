import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { cast, mul } from '../tensor/ops/elementwise.js';
import { straightThroughStep } from '../tensor/ops/straightThrough.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { packedBits, unpackedBits } from './bitMask.js';
import { actsOn } from './conflicts.js';
import { learnedMaskFormat, maskKey, scoresName } from './learnedMaskConfig.js';
import type { AttachContext, Attached, Method, Prepared, Values } from './method.js';
import { loadByKey } from './parameters.js';
import { sparseConfig } from './sparseDeltaConfig.js';
import { weightSize } from './sparsePlaces.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { OptionProblem, TargetMatch } from './targets.js';

/** Options of learned masks; defaults are those of the authors' code. */
export const LearnedMaskOptions = Type.Object(
  {
    type: Type.Literal('learned_mask'),
    threshold: Type.Number({
      default: 0.01,
      description: 'τ: a weight is on where its score is above.',
    }),
    init_scale: Type.Number({
      minimum: 0,
      default: 0.02,
      description: 'c: scores start uniform from −c to s; s follows from `initial_sparsity`.',
    }),
    initial_sparsity: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.05,
      description: 'ρ: share of the weights that are off at the start; s = (c + τ) / ρ − c.',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type LearnedMaskOptions = Static<typeof LearnedMaskOptions>;

const INFO = {
  type: 'learned_mask',
  family: 'selective',
  place: 'learned',
  title: 'Learned masks',
  summary: 'Learns which of the frozen weights are on and which are off; one bit of each is saved.',
  paper: {
    authors: 'Zhao, Lin, Mi, Jaggi & Schütze',
    year: 2020,
    title: 'Masking as an Efficient Alternative to Finetuning for Pretrained Language Models',
    arxiv: '2004.12406',
  },
  engines: ['embedded'],
  mergeable: true,
  options: LearnedMaskOptions,
} as const satisfies Method<typeof LearnedMaskOptions>['info'];

/**
 * Learned binary masks (Zhao et al. 2020, section 3): weights stay frozen, and beside each matrix W [out, in] a matrix of
 * real scores M of its shape trains. The matrix that the model uses is W ⊙ m with m = 1 where M > τ, else 0 (eq. 2, 3).
 * The step has no useful derivative, so that M gets the gradient that m would have, ∂L/∂M := ∂L/∂m = ∂L/∂(W ⊙ m) ⊙ W (the
 * straight-through estimator). A weight that is zero never gets one. Biases, norms and embeddings stay what they are.
 *
 * M starts uniform between −c and s = (c + τ)/ρ − c, so that the share ρ of the weights is off: the start is not the base
 * model. Weight decay does not act on scores. The paper masks layers 2 to 11 of 12 (`layers_to_transform`); without the
 * option all of them are masked, as the authors' code does by default. A head for classes trains as it does beside any
 * method; in the authors' code it may stay random and be masked alone. Their other two schemes (signs with clipped scores,
 * masks drawn from sigmoid(M)) are not here.
 *
 * M has the size of the weights, and so have its gradient and its optimizer slots. What is saved is one bit per weight:
 * an adapter that is loaded has masks and no scores. W ⊙ m is built again in the backward pass instead of kept.
 */
export const learnedMask: Method<typeof LearnedMaskOptions> = {
  info: INFO,
  attach(options, context) {
    const match = matchTargets(
      options,
      context.model.sites,
      ({ kind, weight }) => kind === 'linear' && weight !== undefined,
      context.idlePatterns,
    );
    refuseAfter(match.sites, context);
    return context.prepared === undefined
      ? attached(options, context, match, scoresOf(options, match.sites, context))
      : attached(options, context, match, bitsOf(context.prepared, match.sites));
  },
  peft: learnedMaskFormat(INFO),
};

/** The mask of one matrix: made of scores that train, or read. */
interface MaskedSite {
  readonly site: Site;
  /** 0 or 1, as the weight lies in the checkpoint. */
  readonly mask: Tensor;
  readonly scores?: { readonly variable: Variable; readonly start: () => Float32Array };
  /** The same as bytes, row-major. */
  readonly marks: (values: Values) => Uint8Array;
}

function scoresOf(
  { threshold, init_scale: scale, initial_sparsity: sparsity }: LearnedMaskOptions,
  sites: readonly Site[],
  { random, instance = '' }: AttachContext,
): readonly MaskedSite[] {
  checkStart(threshold, scale);
  const upper = (scale + threshold) / sparsity - scale;
  return sites.map((site): MaskedSite => {
    const scores = variable(`${instance}${scoresName(site)}`, parameterShape(site, 'weight'));
    const start = (): Float32Array => {
      const draws = random('learned_mask', site.path);
      return Float32Array.from({ length: weightSize(site) }, () => draws.uniform() * (upper + scale) - scale);
    };
    return {
      site,
      mask: straightThroughStep(scores, threshold),
      scores: { variable: scores, start },
      marks: (values) => marksAbove(values.get(scores.name) ?? start(), threshold),
    };
  });
}

/** Scores of which some are to be off start on both sides of the threshold. */
function checkStart(threshold: number, scale: number): void {
  if (threshold > -scale) return;
  const problem: OptionProblem = {
    code: 'learned-mask.start',
    message: l10n.t`scores start from ${-scale} up, which is not below the threshold ${threshold}: none would be off`,
    expected: l10n.t`a threshold above ${-scale}`,
    mend: l10n.t`Raise threshold or init_scale.`,
    option: ['threshold'],
  };
  fail(problem);
}

/** 1 where a score is above the threshold. */
export function marksAbove(scores: Float32Array, threshold: number): Uint8Array {
  // As the graph does: against the threshold in float32.
  const rounded = Math.fround(threshold);
  const marks = new Uint8Array(scores.length);
  for (let at = 0; at < scores.length; at++) if (scores[at]! > rounded) marks[at] = 1;
  return marks;
}

/**
 * The masks of an adapter.
 * @throws ProblemError `adapter.keys` where one is missing or no module's, `adapter.shape` where one is of another size
 */
function bitsOf(prepared: Prepared, sites: readonly Site[]): readonly MaskedSite[] {
  const expected = new Map(sites.map((site) => [maskKey(site), site]));
  const missing = [...expected.keys()].filter((key) => !prepared.has(key));
  const left = [...prepared.keys()].filter((key) => !expected.has(key));
  if (missing.length > 0 || left.length > 0) {
    fail({
      code: 'adapter.keys',
      message: l10n.t`of ${expected.size} masks ${missing.length} are missing and ${left.length} belong to no module: ${[...missing, ...left].slice(0, 3).join(', ')}`,
      expected: l10n.t`a mask for each module that adapter_config.json names`,
      mend: l10n.t`Use the base model that the adapter was trained on; or the file is damaged: export the adapter again.`,
    });
  }
  return [...expected].map(([key, site]): MaskedSite => {
    const bits = prepared.get(key)!;
    const size = weightSize(site);
    const words = Math.ceil(size / 32);
    if (!(bits instanceof Int32Array) || bits.length !== words) {
      fail({
        code: 'adapter.shape',
        message: l10n.t`${key} holds ${bits.length} words, the base model's matrix needs ${words}`,
        mend: l10n.t`Use the base model that the adapter was trained on; or the file is damaged: export the adapter again.`,
      });
    }
    const marks = unpackedBits(bits, size);
    // A byte each: unpacked in the graph they would be at each run, which takes many times as long as the product.
    const mask = cast(constant(marks, parameterShape(site, 'weight'), 'bool'), 'float32');
    return { site, mask, marks: () => marks };
  });
}

function attached(
  options: LearnedMaskOptions,
  context: AttachContext,
  match: TargetMatch<Site>,
  masked: readonly MaskedSite[],
): Attached {
  const { instance = '' } = context;
  const bySite = new Map(masked.map((each) => [each.site.path, each]));
  const trainables = masked.flatMap(({ scores }) => (scores === undefined ? [] : [{ ...scores, decays: false }]));
  const total = masked.reduce((sum, { site }) => sum + weightSize(site), 0);
  const sparsity = options.initial_sparsity;
  return {
    type: 'learned_mask',
    hooks: {
      parameter(site, kind, base) {
        const own = kind === 'weight' ? bySite.get(site.path) : undefined;
        return own === undefined ? base : mul(base, own.mask);
      },
    },
    trainables,
    coverage: {
      targets: match.entries,
      modules: masked.map(({ site }) => ({ path: site.path, shape: site.shape, trainable: weightSize(site) })),
      layersCovered: new Set(match.sites.flatMap(({ layer }) => (layer === undefined ? [] : [layer]))).size,
      saves: l10n.t`adapter_model.safetensors with a bit for each of ${formatCount(total)} weights, and adapter_config.json; the share ${sparsity} of them is off at the start, so that a run does not begin as the base model`,
      warnings: match.warnings,
    },
    report: (values) =>
      masked.map(({ site, marks }) => ({
        path: site.path,
        density: marks(values).reduce((sum, mark) => sum + mark, 0) / weightSize(site),
        shape: parameterShape(site, 'weight'),
      })),
    reportsAfter: ({ step, totalSteps }) => step % Math.ceil(totalSteps / REPORTS) === 0,
    merge(site, kind, base, values) {
      const own = kind === 'weight' ? bySite.get(site.path) : undefined;
      if (own === undefined) return undefined;
      const marks = own.marks(values);
      return base.map((value, at) => value * marks[at]!);
    },
    save: (values) => ({
      kind: 'adapter',
      config: sparseConfig('LEARNED_MASK', options, context),
      tensors: [],
      indices: masked.map(({ site, marks }) => ({ name: maskKey(site), data: packedBits(marks(values)) })),
    }),
    load: (tensors, source) => loadByKey(trainables, (name) => name.slice(instance.length), tensors, source),
  };
}

/** How often masks are counted in the course of a run, beside evaluations. */
const REPORTS = 50;

/**
 * A mask is taken of the weight. What a method before it adds to the module's result instead would be merged into the
 * weight first, and masked along.
 */
function refuseAfter(sites: readonly Site[], { before = [] }: AttachContext): void {
  for (const other of before) {
    const site = sites.find((each) => actsOn(other.hooks, each, []));
    if (site === undefined) continue;
    fail({
      code: 'learned-mask.order',
      message: l10n.t`learned_mask stands behind ${other.type}, and both act on ${site.path}: merged, what that learned would be masked`,
      mend: l10n.t`List learned_mask first, or take the module out of one of them.`,
    });
  }
}
