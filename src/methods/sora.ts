import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { abs, mul } from '../tensor/ops/elementwise.js';
import { reduceMean } from '../tensor/ops/reduce.js';
import { concat, slice } from '../tensor/ops/shape.js';
import { input } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { drawnStart } from './loraStart.js';
import { mergePair, pairNorm } from './lowRankPair.js';
import type { AttachContext, Attached, Method, Trainable, UpdateView, Updates } from './method.js';
import { plainLora } from './plainLora.js';
import { finishedPair, loadedPairs } from './savedComponents.js';
import { folded, liveComponents, scaledPair, scaledPairOutput, scaledPairSize } from './scaledPair.js';
import type { ScaledPair } from './scaledPair.js';
import { softThreshold } from './softThreshold.js';
import { ThresholdOptions, checkThreshold, idleThreshold, threshold } from './soraSchedule.js';
import { TargetOptions } from './targets.js';
import { targetPairs } from './targetPairs.js';

/** SoRA's options: LoRA's under PEFT's names, those of the gates under the names of the authors' code. */
export const SoraOptions = Type.Object(
  {
    type: Type.Literal('sora'),
    r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description: 'The largest rank that a module may keep; it starts with it.',
    }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 16,
      description: 'Scale of the update: ΔW = lora_alpha / r · B·diag(g)·A, whatever the rank becomes.',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    sparse_lambda: Type.Number({
      minimum: 0,
      default: 10,
      description:
        'Weight of a further term of the loss, the mean of all |g|, as the authors’ code has it. 0: ξ alone makes gates 0, as in the paper.',
    }),
    ...ThresholdOptions,
    sparse_lr: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'The learning rate of the gates. Default: the run’s.' }),
    ),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type SoraOptions = Static<typeof SoraOptions>;

/** Steps from one report of ranks to the next. */
const REPORT_STEPS = 10;

/**
 * SoRA (Ding et al. 2023, section 3): y = W x + s·B·(g ⊙ (A·dropout(x))), s = lora_alpha / r; A, B and the gates g trained,
 * W frozen. After the optimizer's update comes the proximal step g ← sign(g)·max(|g| − ξ, 0): a gate that it takes to 0 is a
 * component that the module does without, and whose A and B rest until its gate comes back.
 *
 * In the paper ξ = η·λ follows from minimising L + λ·Σ|g|, with the learning rate η. The authors' code has ξ as a number
 * (`sparse_lambda_2`) that stays where η falls, and beside it adds `sparse_lambda`·mean|g| to the loss; so it is here, with
 * the values of their script. It moves gates above ξ and below −ξ one after the other in place, so that those within 2ξ can
 * become 0 as well: here it is one expression. Gates do not decay.
 *
 * Saved as a plain LoRA of the components that are left, with g in A.
 */
export const sora: Method<typeof SoraOptions> = {
  info: {
    type: 'sora',
    family: 'low-rank',
    place: 'adaptive rank',
    title: 'SoRA',
    summary: 'Learns LoRA with a gate on each component, and takes gates to zero until few are left.',
    paper: {
      authors: 'Ding, Lv, Wang, Chen, Zhou, Liu & Sun',
      year: 2023,
      title: 'Sparse Low-rank Adaptation of Pre-trained Language Models',
      arxiv: '2311.11696',
    },
    engines: ['embedded'],
    mergeable: true,
    guidesItself: true,
    options: SoraOptions,
  },
  attach(options, context) {
    checkThreshold(options);
    const { instance = '' } = context;
    const { pairs, coverage } = targetPairs(options, context, ({ kind }) => kind === 'linear');
    const gated = [...pairs.values()].map(({ site, r, scale }) => scaledPair(site, r, scale, instance, 'gate'));
    return attached(options, context, gated, coverage);
  },
};

function attached(
  options: SoraOptions,
  context: AttachContext,
  gated: readonly ScaledPair[],
  coverage: ReturnType<typeof targetPairs>['coverage'],
): Attached {
  const byPath = new Map(gated.map((each) => [each.pair.site.path, each]));
  const xi = input(`${context.instance ?? ''}sora_threshold`, 'float32', []);
  const { lora_dropout: rate, sparse_lambda: weight } = options;
  return {
    type: 'sora',
    hooks: {
      output: (site, x, y, { dropoutSeed: seed }) => {
        const own = byPath.get(site.path);
        if (own === undefined) return y;
        return scaledPairOutput(own, x, y, { rate, seed, random: context.random('dropout', site.path) });
      },
    },
    trainables: gated.flatMap((each) => trainablesOf(each, options, context)),
    coverage: {
      ...coverage,
      warnings: [...coverage.warnings, ...idleThreshold(options)],
      modules: gated.map((each) => ({
        path: each.pair.site.path,
        shape: each.pair.site.shape,
        trainable: scaledPairSize(each),
      })),
      saves: l10n.t`adapter_model.safetensors with the components whose gates are not 0 and adapter_config.json, a LoRA as Hugging Face PEFT reads it`,
    },
    regularizers: () =>
      weight === 0
        ? []
        : [{ name: 'gates', term: mul(reduceMean(abs(joined(gated, ({ e }) => e)), [0, 1]), weight) }],
    update: (view) => proximalStep(gated, xi, view),
    stepInputs: (at) => ({
      [xi.name]: { dtype: 'float32', shape: [], data: Float32Array.of(threshold(options, at)) },
    }),
    reportsAfter: ({ step }) => step % REPORT_STEPS === 0,
    report: (values, brief = false) =>
      gated.map((each) => ({
        path: each.pair.site.path,
        rank: liveComponents(each, values).length,
        ...(brief ? {} : { scale: each.pair.scale, norm: pairNorm(each.pair, folded(each, values)) }),
      })),
    merge(site, kind, base, values) {
      const own = byPath.get(site.path);
      return own === undefined || kind === 'bias' ? undefined : mergePair(own.pair, base, folded(own, values));
    },
    save: (values) =>
      plainLora(
        gated.map((each) => finishedPair(each, values)),
        options,
        context,
      ),
    load: (tensors, source) => loadedPairs(gated, context, tensors, source),
  };
}

/** A, B and g of a site. Gates are a vector of their own, which the proximal step changes after the optimizer. */
function trainablesOf({ pair, e }: ScaledPair, options: SoraOptions, context: AttachContext): Trainable[] {
  const { a, b, r, site } = pair;
  const drawn = (which: 0 | 1) => (): Float32Array =>
    drawnStart(pair, true, context.random('sora', site.path))[which];
  const normal = (): Float32Array => {
    const random = context.random('sora', site.path, 'gate');
    return Float32Array.from({ length: r }, () => random.normal());
  };
  const { sparse_lr: peak } = options;
  return [
    { variable: a, start: drawn(0), decays: true },
    { variable: b, start: drawn(1), decays: true },
    {
      variable: e,
      start: normal,
      decays: false,
      group: 'gate',
      ...(peak === undefined ? {} : { rate: { peak } }),
    },
  ];
}

/** What there is of each gate as one vector, site after site. */
function joined(gated: readonly ScaledPair[], of: (each: ScaledPair) => Tensor): Tensor {
  return concat(gated.map(of), 0);
}

/** New gates: all of them moved toward 0 by ξ at once. */
function proximalStep(gated: readonly ScaledPair[], xi: Tensor, view: UpdateView): Updates {
  const moved = softThreshold(
    joined(gated, ({ e }) => view.updated(e)),
    xi,
  );
  let offset = 0;
  return new Map(
    gated.map(({ e, pair: { r } }) => {
      const own = slice(moved, 0, offset, offset + r);
      offset += r;
      return [e, own];
    }),
  );
}
