import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { doraOutput, magnitudeOf, startMagnitude, withMagnitude } from './doraMagnitude.js';
import { inspectLora, loraPair } from './inspectLora.js';
import { largeRanks } from './largeRanks.js';
import { doubledOptions, loraConfigFromPeft, loraConfigToPeft } from './loraConfig.js';
import { ParameterOptions, biasWarnings, peftKey, tiedWarnings, trainedParameters } from './loraParameters.js';
import { checkStart, drawnStart, preparedStart, preparedStarts, startsFromBase } from './loraStart.js';
import type { Factors } from './loraStart.js';
import { storedPairs } from './loraStored.js';
import { lowRankOutput, lowRankPair, mergePair, pairNorm, takesPair } from './lowRankPair.js';
import type { LowRankPair } from './lowRankPair.js';
import type { AttachContext, Attached, Method, NamedTensor, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import { TargetOptions, idlePattern, idlePatternKeys, matchTargets, patternValue } from './targets.js';

/** LoRA's options, under the names and with the meaning of HF PEFT's `LoraConfig`. */
export const LoraOptions = Type.Object(
  {
    type: Type.Literal('lora'),
    r: Type.Integer({ minimum: 1, default: 8, description: 'Rank of the update B·A.' }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description: 'Scale of the update: ΔW = lora_alpha / r · B·A (lora_alpha / √r with `use_rslora`).',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    bias: ParameterOptions.bias,
    ...TargetOptions,
    rank_pattern: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      default: {},
      description: 'Ranks that differ from `r`: from a module name or regular expression to a rank.',
    }),
    alpha_pattern: Type.Record(Type.String(), Type.Number({ exclusiveMinimum: 0 }), {
      default: {},
      description: 'Alphas that differ from `lora_alpha`: from a module name or regular expression to an alpha.',
    }),
    modules_to_save: ParameterOptions.modules_to_save,
    use_rslora: Type.Boolean({
      default: false,
      description: 'Scale by lora_alpha / √r (rank-stabilized LoRA, Kalajdzievski 2023).',
    }),
    use_dora: Type.Boolean({
      default: false,
      description:
        'DoRA (Liu et al. 2024): B·A turns the weight, and a vector that trains beside it gives each output’s length.',
    }),
    init_lora_weights: Type.Union(
      [
        Type.Boolean(),
        Type.Literal('gaussian'),
        Type.Literal('orthogonal'),
        Type.Literal('olora'),
        Type.Literal('pissa'),
        Type.TemplateLiteral('pissa_niter_${number}'),
        Type.Literal('milora'),
      ],
      {
        default: true,
        description:
          'How A and B start. `true`: A Kaiming uniform, B zero; `gaussian`: A normal with deviation 1/r, B zero; `false`: both Kaiming uniform, so that the start is not the base model; `orthogonal`: both random with B·A = 0 (even `r`). From the weight, which is then learned on: `pissa` its r largest singular values, `pissa_niter_16` these by random projection with 16 iterations, `milora` the r smallest (not in PEFT), `olora` the first r parts of its QR decomposition. An embedding starts with A zero and B normal (`false`: both normal).',
      },
    ),
    loraplus_lr_ratio: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description:
          'LoRA+: the learning rate of B (and of biases) is so many times that of A, which is the run’s. Hayou et al. advise about 16, with a smaller `learning_rate`.',
      }),
    ),
    loraplus_lr_embedding: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description: 'LoRA+: the learning rate of A and B of embeddings, with `loraplus_lr_ratio`. Default: 1e-6.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type LoraOptions = Static<typeof LoraOptions>;

/**
 * LoRA (Hu et al. 2021): y = W x + s·B·A·dropout(x), s = lora_alpha / r (eq. 3), A and B trained, W frozen.
 *
 * With `loraplus_lr_ratio` A and B have learning rates of their own, as `loraplusRate` has them. With `use_dora` it is DoRA:
 * see `doraMagnitude.ts`.
 *
 * Starts that take a part off the base (PiSSA, MiLoRA, OLoRA; see `loraStart.ts`) leave W as it is: with W' = W − s·B₀·A₀,
 * y = W' x + s·B·A·dropout(x) = W x + s·(B·A·dropout(x) − B₀·A₀ x). Saved as PEFT converts them to a plain LoRA of twice the rank,
 * A' = [A; A₀] and B' = [B, −B₀], which goes on the base as it was.
 */
export const lora: Method<typeof LoraOptions> = {
  info: {
    type: 'lora',
    family: 'low-rank',
    place: 'plain',
    title: 'LoRA',
    summary: 'Learns a low-rank update B·A beside each frozen weight matrix.',
    paper: {
      authors: 'Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang & Chen',
      year: 2021,
      title: 'LoRA: Low-Rank Adaptation of Large Language Models',
      arxiv: '2106.09685',
    },
    engines: ['embedded'],
    mergeable: true,
    options: LoraOptions,
  },
  // What it finds out is where it starts: it attaches without.
  prepares: () => false,
  async prepare(options, context) {
    const { init_lora_weights: init } = options;
    if (!startsFromBase(init)) return undefined;
    return preparedStarts(pairsOf(options, context).pairs.values(), init, context);
  },
  attach(options, context) {
    const { pairs, ...found } = pairsOf(options, context);
    const { trained, warnings } = trainedParameters(options, context, pairs);
    return attached(options, context, pairs, trained, {
      targets: found.targets,
      warnings: [
        ...found.warnings,
        ...warnings,
        ...tiedWarnings(
          context.model,
          [...pairs.values()].map(({ site }) => site),
          trained,
        ),
        ...biasWarnings(options, trained),
      ],
    });
  },
  peft: {
    type: 'LORA',
    options: loraConfigFromPeft,
    inspect: inspectLora,
    pair: loraPair,
    differences: 'factors',
  },
};

interface Found {
  readonly targets: Attached['coverage']['targets'];
  readonly warnings: readonly Problem[];
}

/** The pairs of all sites that match. @throws ProblemError `targets.*`, `lora.odd-rank`, `lora.init-rank` */
export function pairsOf(
  options: LoraOptions,
  context: AttachContext,
): Found & { readonly pairs: ReadonlyMap<string, LowRankPair> } {
  const { model, instance = '', idlePatterns } = context;
  const match = matchTargets(options, model.sites, takesPair, idlePatterns);
  const paths = match.sites.map((site) => site.path);
  const idle = [
    ...idlePatternKeys('rank_pattern', options.rank_pattern, paths),
    ...idlePatternKeys('alpha_pattern', options.alpha_pattern, paths),
  ].map((problem) => idlePattern(problem, idlePatterns));
  const { init_lora_weights: init } = options;
  const pairs = new Map(
    match.sites.map((site): [string, LowRankPair] => {
      const r = patternValue(options.rank_pattern, site.path) ?? options.r;
      const alpha = patternValue(options.alpha_pattern, site.path) ?? options.lora_alpha;
      // Rank-stabilized: Kalajdzievski 2023, eq. 3.
      const scale = options.use_rslora ? alpha / Math.sqrt(r) : alpha / r;
      const pair = lowRankPair(site, r, scale, instance, startsFromBase(init));
      return [site.path, options.use_dora ? { ...pair, magnitude: magnitudeOf(pair, instance) } : pair];
    }),
  );
  checkStart(pairs.values(), init);
  return {
    pairs,
    targets: match.entries,
    warnings: [...match.warnings, ...idle, ...largeRanks(pairs.values(), 'r', context)],
  };
}

function attached(
  options: LoraOptions,
  context: AttachContext,
  pairs: ReadonlyMap<string, LowRankPair>,
  trained: readonly TrainedParameter[],
  found: Found,
): Attached {
  const byParameter = new Map(trained.map((each) => [`${each.site.path}.${each.kind}`, each]));
  const keyOf = (name: string): string => {
    const own = name.slice((context.instance ?? '').length);
    return byParameter.get(own)?.key ?? peftKey(own);
  };
  const start = new Map<string, Factors>();
  const startOf = (pair: LowRankPair): Factors => {
    const path = pair.site.path;
    const known = start.get(path) ?? drawnStart(pair, options.init_lora_weights, context.random('lora', path));
    start.set(path, known);
    return known;
  };
  const trainables: Trainable[] = [
    ...[...pairs.values()].flatMap((pair) => trainablesOf(pair, () => startOf(pair), context)),
    ...trained.map((each) => readTrained(each, context)),
  ].map((each) => ({ ...each, ...loraplusRate(each.variable, options) }));
  const resting = new Set([...pairs.values()].flatMap(({ initial }) => (initial ? [initial.a, initial.b] : [])));
  const training = new Set(trainables.map(({ variable }) => variable).filter((each) => !resting.has(each)));
  const doubled = resting.size > 0;
  const stored = storedPairs([...pairs.values()], doubled);
  const magnitudes = [...pairs.values()].flatMap(({ magnitude }) => magnitude ?? []);
  const onDisk = [...stored.tensors, ...magnitudes.map((each) => ({ variable: each })), ...trained];
  const tensorsOf = (values: Values): NamedTensor[] =>
    onDisk.map(({ variable: { name, shape } }) => ({
      name: keyOf(name),
      shape: shape as readonly number[],
      data: values.get(name)!,
    }));
  const modules = [
    ...[...pairs.values()].map(({ site, a, b, magnitude }) => ({
      path: site.path,
      shape: site.shape,
      trainable: [a, b, ...(magnitude === undefined ? [] : [magnitude])].reduce(
        (sum, { shape }) => sum + parameterSize(shape),
        0,
      ),
    })),
    ...coveredParameters(trained),
  ];
  return {
    type: 'lora',
    hooks: {
      parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base,
      output: (site, x, y, phase, own) => {
        const pair = pairs.get(site.path);
        if (pair === undefined) return y;
        const dropped = {
          rate: options.lora_dropout,
          seed: phase.dropoutSeed,
          random: context.random('dropout', site.path),
        };
        const { magnitude } = pair;
        if (magnitude === undefined) return lowRankOutput(pair, x, y, dropped);
        return doraOutput({ ...pair, magnitude }, x, y, own, dropped);
      },
    },
    trainables,
    ...(doubled ? { active: () => training } : {}),
    coverage: {
      targets: found.targets,
      modules,
      layersCovered: new Set(
        [...pairs.values()].flatMap(({ site }) => (site.layer === undefined ? [] : [site.layer])),
      ).size,
      saves: l10n.t`adapter_model.safetensors with ${onDisk.length} tensors and adapter_config.json, as Hugging Face PEFT reads them`,
      warnings: found.warnings,
    },
    report: (values) =>
      [...pairs.values()].map((pair) => ({
        path: pair.site.path,
        rank: pair.r,
        scale: pair.scale,
        norm: pairNorm(pair, values),
      })),
    merge(site, kind, base, values) {
      const whole = byParameter.get(`${site.path}.${kind}`);
      if (whole !== undefined) return values.get(whole.variable.name)!;
      const pair = pairs.get(site.path);
      if (pair === undefined || kind === 'bias') return undefined;
      const merged = mergePair(pair, base, values);
      const { magnitude } = pair;
      return magnitude === undefined ? merged : withMagnitude(pair, merged, values.get(magnitude.name)!);
    },
    save: (values) => ({
      kind: 'adapter',
      config: loraConfigToPeft(
        doubled ? doubledOptions(options) : options,
        [...pairs.values()].map(({ site }) => site),
        context,
      ),
      tensors: tensorsOf(new Map([...values, ...stored.stored(values)])),
    }),
    load(tensors, source) {
      const { values, warnings } = loadByKey(onDisk, keyOf, tensors, source);
      return { values: new Map([...values, ...stored.loaded(values)]), warnings };
    },
  };
}

/** PEFT's `create_loraplus_optimizer`, where none is given. */
const LORAPLUS_LR_EMBEDDING = 1e-6;

/**
 * LoRA+ (Hayou, Ghosh & Yu 2024): B learns λ times as fast as A (section 5). As in PEFT's `create_loraplus_optimizer`, with B go
 * all vectors, and an embedding's A and B have a rate of their own. A head of the task has the run's.
 */
function loraplusRate(
  { name, shape }: Trainable['variable'],
  { loraplus_lr_ratio: ratio, loraplus_lr_embedding: peak = LORAPLUS_LR_EMBEDDING }: LoraOptions,
): Pick<Trainable, 'rate'> {
  if (ratio === undefined) return {};
  if (/\.lora_embedding_[AB]$/.test(name)) return { rate: { peak } };
  return name.endsWith('.lora_B') || shape.length === 1 ? { rate: { times: ratio } } : {};
}

/** A and B, what rests of their start, and a magnitude. */
function trainablesOf(pair: LowRankPair, drawn: () => Factors, context: AttachContext): Trainable[] {
  const { a, b, initial, magnitude } = pair;
  const taken = (which: 0 | 1) => (): Float32Array => preparedStart(pair, context)[which].slice();
  const begins = (which: 0 | 1) => (initial === undefined ? (): Float32Array => drawn()[which] : taken(which));
  return [
    { variable: a, start: begins(0), decays: true },
    { variable: b, start: begins(1), decays: true },
    ...(initial === undefined
      ? []
      : [
          { variable: initial.a, start: taken(0), decays: false, readAtRest: true },
          { variable: initial.b, start: taken(1), decays: false, readAtRest: true },
        ]),
    ...(magnitude === undefined
      ? []
      : [{ variable: magnitude, start: () => startMagnitude(pair, drawn, context), decays: true }]),
  ];
}
