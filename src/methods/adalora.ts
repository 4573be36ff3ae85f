import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { mul } from '../tensor/ops/elementwise.js';
import { peftTaskType } from '../models/task.js';
import { allocation } from './adaloraBudget.js';
import {
  adaLoraConfigFromPeft,
  adaLoraPair,
  belongTogether,
  inspectAdaLora,
  shapeProblem,
} from './adaloraConfig.js';
import { orthogonality, tripletScores, tripletUpdates } from './adaloraTriplets.js';
import type { Triplets } from './adaloraTriplets.js';
import { largeRanks } from './largeRanks.js';
import { moduleNames } from './loraConfig.js';
import { PEFT_PREFIX, ParameterOptions, biasWarnings, tiedWarnings, trainedParameters } from './loraParameters.js';
import { mergePair, pairNorm } from './lowRankPair.js';
import type { AttachContext, Attached, Method, NamedTensor, StepPlace, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import { rankAllocation } from './rankAllocation.js';
import type { Allocation } from './rankAllocation.js';
import {
  componentsOf,
  folded,
  liveComponents,
  scaledPair,
  scaledPairOutput,
  scaledPairSize,
} from './scaledPair.js';
import { TargetOptions, matchTargets } from './targets.js';

/** AdaLoRA's options, under the names and with the meaning of HF PEFT's `AdaLoraConfig`. */
export const AdaLoraOptions = Type.Object(
  {
    type: Type.Literal('adalora'),
    init_r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 12,
      description: 'Rank of every module at first.',
    }),
    target_r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description: 'Mean rank of the modules in the end; at most `init_r`.',
    }),
    tinit: Type.Integer({ minimum: 0, default: 0, description: 'Steps before ranks start to fall.' }),
    tfinal: Type.Integer({
      minimum: 0,
      default: 0,
      description: 'Steps at the end in which ranks stay. `tinit` + `tfinal` must be below the number of steps.',
    }),
    deltaT: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'Steps from one allocation of ranks to the next.',
    }),
    beta1: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.85,
      description: 'Share of the old average in the smoothed sensitivity.',
    }),
    beta2: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.85,
      description: 'Share of the old average in the smoothed uncertainty.',
    }),
    orth_reg_weight: Type.Number({
      minimum: 0,
      default: 0.5,
      description: 'Weight of the loss term that keeps P and Q orthogonal.',
    }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description: 'Scale of the update: ΔW = lora_alpha / init_r · P·diag(λ)·Q.',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of Q that is dropped while training.',
    }),
    bias: ParameterOptions.bias,
    ...TargetOptions,
    modules_to_save: ParameterOptions.modules_to_save,
  },
  { additionalProperties: false },
);
export type AdaLoraOptions = Static<typeof AdaLoraOptions>;

/** PEFT adds this to the rank before it divides by it. */
const RANK_EPSILON = 1e-5;

/** Deviation of P and Q at the start, as in PEFT. */
const START_DEVIATION = 0.02;

/**
 * AdaLoRA (Zhang et al. 2023): y = W x + s·P·diag(λ)·Q·dropout(x) (eq. 3), s = lora_alpha / (init_r + 10⁻⁵) whatever the
 * rank becomes, W frozen; P and Q are kept near orthogonal (eq. 4), and λ of triplets that matter least becomes 0, by a
 * budget that falls over the run (eqs. 5–12).
 *
 * Exactly the budget's number of triplets stays: of equal scores the first in the model's order do. (PEFT sets all to
 * zero whose score is at or below a threshold, so that equal scores can take more.) A λ that became 0 goes on training
 * and can come back, until the budget has reached its end at step T − tfinal.
 */
export const adalora: Method<typeof AdaLoraOptions> = {
  info: {
    type: 'adalora',
    family: 'low-rank',
    place: 'adaptive rank',
    title: 'AdaLoRA',
    summary: 'Learns updates P·diag(λ)·Q and shares out a falling budget of ranks among the modules.',
    paper: {
      authors: 'Zhang, Chen, Bukharin, Karampatziakis, He, Cheng, Chen & Zhao',
      year: 2023,
      title: 'AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning',
      arxiv: '2303.10512',
    },
    engines: ['embedded'],
    mergeable: true,
    guidesItself: true,
    options: AdaLoraOptions,
  },
  attach(options, context) {
    const { init_r: r, target_r: target } = options;
    if (target > r) {
      fail({
        code: 'adalora.rank',
        message: l10n.t`target_r ${target} is above init_r ${r}: ranks only fall`,
        expected: l10n.t`target_r of at most ${r}`,
        mend: l10n.t`Raise init_r (one and a half times target_r is usual), or lower target_r.`,
      });
    }
    const { instance = '', idlePatterns } = context;
    const match = matchTargets(options, context.model.sites, ({ kind }) => kind === 'linear', idlePatterns);
    const triplets = match.sites.map((site) => scaledPair(site, r, adaLoraScale(options), instance, 'lora_E'));
    const paths = new Map(match.sites.map((site) => [site.path, site]));
    const { trained, warnings } = trainedParameters(options, context, paths);
    return attached(options, context, triplets, trained, {
      targets: match.entries,
      warnings: [
        ...match.warnings,
        ...warnings,
        ...largeRanks(
          match.sites.map((site) => ({ site, r })),
          'init_r',
          context,
        ),
        ...tiedWarnings(context.model, match.sites, trained),
        ...biasWarnings(options, trained),
      ],
    });
  },
  peft: { type: 'ADALORA', options: adaLoraConfigFromPeft, inspect: inspectAdaLora, pair: adaLoraPair },
};

/** s in ΔW = s·P·diag(λ)·Q. */
export function adaLoraScale({ lora_alpha: alpha, init_r: r }: AdaLoraOptions): number {
  return alpha / (r + RANK_EPSILON);
}

function attached(
  options: AdaLoraOptions,
  context: AttachContext,
  triplets: readonly Triplets[],
  trained: readonly TrainedParameter[],
  found: Pick<Attached['coverage'], 'targets' | 'warnings'>,
): Attached {
  const { instance = '' } = context;
  const byPath = new Map(triplets.map((each) => [each.pair.site.path, each]));
  const byParameter = new Map(trained.map((each) => [`${each.site.path}.${each.kind}`, each]));
  const inTriplets = triplets.flatMap(({ pair: { site, a, b, r }, e }): Trainable[] => {
    const normal = (which: string, size: number): Float32Array => {
      const random = context.random('adalora', site.path, which);
      return Float32Array.from({ length: size }, () => START_DEVIATION * random.normal());
    };
    return [
      { variable: a, start: () => normal('A', parameterSize(a.shape)), decays: true },
      { variable: e, start: () => new Float32Array(r), decays: true, group: 'lora_E' },
      { variable: b, start: () => normal('B', parameterSize(b.shape)), decays: true },
    ];
  });
  const trainables = [...inTriplets, ...trained.map((each) => readTrained(each, context))];
  const scores = tripletScores(triplets, instance);
  const shares = rankAllocation(triplets, `${instance}adalora`);
  const initial = options.init_r * triplets.length;
  const target = options.target_r * triplets.length;
  // PEFT's config names the length of the run. Until one is known: the shortest that PEFT takes.
  let totalSteps = options.tinit + options.tfinal + 1;
  const allocated = (at: StepPlace): Allocation => allocation(options, initial, target, at);
  const keyOf = (name: string): string => {
    const own = name.slice(instance.length);
    return byParameter.get(own)?.key ?? `${PEFT_PREFIX}${own}`;
  };
  return {
    type: 'adalora',
    hooks: {
      parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base,
      output: (site, x, y, phase) => {
        const own = byPath.get(site.path);
        if (own === undefined) return y;
        return scaledPairOutput(own, x, y, {
          rate: options.lora_dropout,
          seed: phase.dropoutSeed,
          random: context.random('dropout', site.path),
        });
      },
    },
    trainables,
    coverage: {
      ...found,
      modules: [
        ...triplets.map((each) => ({
          path: each.pair.site.path,
          shape: each.pair.site.shape,
          trainable: scaledPairSize(each),
        })),
        ...coveredParameters(trained),
      ],
      layersCovered: new Set(triplets.flatMap(({ pair: { site } }) => site.layer ?? [])).size,
      saves: l10n.t`adapter_model.safetensors with ${trainables.length} tensors and adapter_config.json, as Hugging Face PEFT reads them`,
    },
    state: [{ variable: scores.sensitivity }, { variable: scores.uncertainty }, shares.state],
    regularizers: () =>
      options.orth_reg_weight === 0
        ? []
        : [{ name: 'orthogonality', term: mul(orthogonality(triplets), options.orth_reg_weight) }],
    update: (view) => tripletUpdates(triplets, scores, [options.beta1, options.beta2], shares, view),
    // Asked for also where a run is resumed that has no step left.
    beforeStep(at) {
      ({ totalSteps } = at);
      return 'keep';
    },
    stepInputs: (at) => shares.inputs(allocated(at)),
    // Where the budget begins to fall, so that its curve is flat before; after the last allocation ranks stay.
    reportsAfter: (at) =>
      at.step === options.tinit || (allocated(at).allocates && at.step <= at.totalSteps - options.tfinal),
    report(values, brief = false) {
      const now = shares.ranks(values);
      return triplets.map((each, at) => ({
        path: each.pair.site.path,
        rank: now[at]!,
        ...(brief ? {} : { scale: each.pair.scale, norm: pairNorm(each.pair, folded(each, values)) }),
      }));
    },
    rankBudget: (at) => ({ budget: allocated(at).budget, target }),
    merge(site, kind, base, values) {
      const whole = byParameter.get(`${site.path}.${kind}`);
      if (whole !== undefined) return values.get(whole.variable.name)!;
      const own = byPath.get(site.path);
      return own === undefined || kind === 'bias' ? undefined : mergePair(own.pair, base, folded(own, values));
    },
    save: (values) => ({
      kind: 'adapter',
      config: peftConfig(options, context, triplets, values, totalSteps),
      tensors: [
        ...triplets.flatMap((each) => savedTensors(each, values, keyOf)),
        ...trained.map(({ key, variable: { name, shape } }) => ({
          name: key,
          shape: shape as readonly number[],
          data: values.get(name)!,
        })),
      ],
    }),
    load: (tensors, source) => loadByKey(trainables, keyOf, fullRank(triplets, tensors, keyOf, source), source),
  };
}

/** As PEFT saves them: only the triplets that are left, [k, in], [k, 1] and [out, k]. */
function savedTensors(each: Triplets, values: Values, keyOf: (name: string) => string): NamedTensor[] {
  const { pair, e } = each;
  const { r: k, a, b, lambda } = componentsOf(each, values, liveComponents(each, values));
  return [
    { name: keyOf(pair.a.name), shape: [k, parameterSize(pair.a.shape) / pair.r], data: a },
    { name: keyOf(e.name), shape: [k, 1], data: lambda },
    { name: keyOf(pair.b.name), shape: [parameterSize(pair.b.shape) / pair.r, k], data: b },
  ];
}

/**
 * Tensors of an adapter with those triplets back, as zeros, that it was saved without: those it has come first, in
 * another order than in training, which is the same sum. What does not fit the model is left for the caller to find.
 *
 * @throws ProblemError `adapter.shape` where tensors of a module do not belong together
 */
function fullRank(
  triplets: readonly Triplets[],
  tensors: ReadonlyMap<string, NamedTensor>,
  keyOf: (name: string) => string,
  source: string,
): ReadonlyMap<string, NamedTensor> {
  const result = new Map(tensors);
  for (const { pair, e } of triplets) {
    const { r } = pair;
    const [a, b, lambda] = [pair.a, pair.b, e].map(({ name }) => tensors.get(keyOf(name)));
    if (a === undefined || b === undefined || lambda === undefined) continue;
    const shapes = [a.shape, b.shape, lambda.shape] as const;
    if (!belongTogether(...shapes)) fail(shapeProblem(pair.site.path, shapes, source));
    const k = lambda.shape[0]!;
    if (k >= r) continue;
    for (const tensor of [a, lambda]) {
      const columns = tensor.shape[1]!;
      const data = new Float32Array(r * columns);
      data.set(tensor.data);
      result.set(tensor.name, { ...tensor, shape: [r, columns], data });
    }
    const rows = b.shape[0]!;
    const data = new Float32Array(rows * r);
    for (let row = 0; row < rows; row++) data.set(b.data.subarray(row * k, (row + 1) * k), row * r);
    result.set(b.name, { ...b, shape: [rows, r], data });
  }
  return result;
}

/** `adapter_config.json` as HF PEFT writes it for AdaLoRA, keys sorted. */
function peftConfig(
  options: AdaLoraOptions,
  context: AttachContext,
  triplets: readonly Triplets[],
  values: Values,
  totalSteps: number,
): JsonObject {
  const { instance = '' } = context;
  const sites = triplets.map(({ pair }) => pair.site);
  const pattern = triplets.map((each): [string, boolean[]] => {
    const kept = new Set(liveComponents(each, values));
    return [each.e.name.slice(instance.length), Array.from({ length: options.init_r }, (_, at) => kept.has(at))];
  });
  return {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    beta1: options.beta1,
    beta2: options.beta2,
    bias: options.bias,
    deltaT: options.deltaT,
    exclude_modules: options.exclude_modules ?? null,
    // PEFT sets it by the last module that it adapts, and by each module again when it reads the adapter.
    fan_in_fan_out: sites.at(-1)?.layout === 'in-out',
    inference_mode: true,
    init_lora_weights: true,
    init_r: options.init_r,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    lora_alpha: options.lora_alpha,
    lora_dropout: options.lora_dropout,
    modules_to_save: options.modules_to_save ?? null,
    orth_reg_weight: options.orth_reg_weight,
    peft_type: 'ADALORA',
    rank_pattern: Object.fromEntries(pattern),
    revision: context.modelRevision ?? null,
    target_modules:
      options.target_modules === 'all-linear' ? moduleNames(sites, context.model.sites) : options.target_modules,
    target_r: options.target_r,
    task_type: peftTaskType(context.model.task),
    tfinal: options.tfinal,
    tinit: options.tinit,
    total_step: totalSteps,
  };
}
