import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Random } from '../common/random.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import type { MethodInfo } from './info.js';
import { drawnStart } from './loraStart.js';
import { peftKey, tiedWarnings } from './loraParameters.js';
import { lowRankOutput, lowRankPair, mergePair } from './lowRankPair.js';
import type { LowRankPair } from './lowRankPair.js';
import type { AttachContext, Attached, Method, NamedTensor, Trainable, Values } from './method.js';
import { loadByKey, parameterSize } from './parameters.js';
import { sltrainConfig, sltrainFormat } from './sltrainConfig.js';
import { attachDeltas } from './sparseDelta.js';
import {
  indicesKey,
  isNote,
  placesOf,
  preparedPlaces,
  sparseTargets,
  valuesKey,
  weightSize,
} from './sparsePlaces.js';
import type { SparseTargets } from './sparsePlaces.js';
import { sparsePairNorm } from './sparsePairNorm.js';
import { TargetOptions } from './targets.js';
import type { OptionProblem } from './targets.js';

/** SLTrain's options, under the names of the authors' code. */
export const SltrainOptions = Type.Object(
  {
    type: Type.Literal('sltrain'),
    r: Type.Integer({ minimum: 1, maximum: 4096, default: 8, description: 'Rank of the low-rank part B·A.' }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description: 'Scale of the low-rank part: lora_alpha / r · B·A. The sparse part has none.',
    }),
    sp_ratio: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.01,
      description:
        'Share of the numbers of each targeted weight that trains by itself (δ in the paper), at places that are drawn once.',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training; the sparse part reads all of them.',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type SltrainOptions = Static<typeof SltrainOptions>;

const INFO: MethodInfo<typeof SltrainOptions> = {
  type: 'sltrain',
  family: 'low-rank',
  place: 'low-rank + sparse',
  title: 'SLTrain',
  summary: 'Learns a low-rank update and, beside it, a few numbers of each weight at random places.',
  paper: {
    authors: 'Han, Li, Huang, Hong, Takeda, Jawanpuria & Mishra',
    year: 2024,
    title: 'SLTrain: a sparse plus low-rank approach for parameter and memory efficient pretraining',
    arxiv: '2406.02214',
  },
  engines: ['embedded'],
  mergeable: true,
  options: SltrainOptions,
};

/**
 * SLTrain (Han et al. 2024, section 3) in a form for fine-tuning: W = W₀ + s·B·A ⊕_I V, s = lora_alpha / r, where V are
 * ⌊δ·in·out⌋ numbers that are added to the weight at places I, drawn evenly without replacement for each weight. The paper
 * trains models from scratch, without W₀, with A Kaiming uniform, B zero and V uniform; here V starts at zero, too, so that
 * the start is the base model.
 *
 * V and its gradient are the sparse differences of `attachDeltas`: ∂L/∂V = (∂L/∂W)_I, and no whole matrix is kept.
 */
export const sltrain: Method<typeof SltrainOptions> = {
  info: INFO,
  prepare(options, context) {
    const targets = targetsOf(options, context);
    const places = [...targets.weights.values()].map((site) =>
      drawnPlaces(placeCount(options, site), weightSize(site), context.random('sltrain', 'places', site.path)),
    );
    return Promise.resolve(preparedPlaces(targets, places));
  },
  check: (options, context) => void targetsOf(options, context),
  attach(options, context) {
    const { model, instance = '', prepared } = context;
    const { match, warnings } = targetsOf(options, context);
    const scale = options.lora_alpha / options.r;
    const pairs = new Map(
      match.sites.map((site) => [site.path, lowRankPair(site, options.r, scale, instance)] as const),
    );
    // Without notes it goes by the places alone: the targets are known.
    const places = prepared && new Map([...prepared].filter(([name]) => !isNote(name)));
    const sparse = attachDeltas(
      options,
      { ...context, ...(places === undefined ? {} : { prepared: places }) },
      { ...INFO, config: {} },
    );
    return together(options, context, pairs, sparse, {
      targets: match.entries,
      warnings: [...match.warnings, ...warnings, ...tiedWarnings(model, match.sites)],
    });
  },
  peft: sltrainFormat(INFO),
};

/** @throws ProblemError `sltrain.nothing` where the share is not one number of any weight; of `sparseTargets` */
function targetsOf(options: SltrainOptions, context: AttachContext): SparseTargets {
  const targets = sparseTargets(INFO.type, options, context, ({ kind }) => kind === 'linear');
  const sizes = [...targets.weights.values()].map(weightSize);
  const largest = Math.max(...sizes);
  if (Math.floor(options.sp_ratio * largest) === 0) {
    const problem: OptionProblem = {
      code: 'sltrain.nothing',
      message: l10n.t`sp_ratio ${options.sp_ratio} of the ${largest} numbers of a weight is not one number`,
      expected: l10n.t`an sp_ratio of at least ${shareOfOne(largest)}`,
      mend: l10n.t`Raise sp_ratio, or use lora, which has no sparse part.`,
      option: ['sp_ratio'],
    };
    fail(problem);
  }
  return targets;
}

/** The share that is one of so many numbers, in two digits and rounded up: rounded down it would be none. */
function shareOfOne(size: number): string {
  const unit = 10 ** (Math.floor(Math.log10(1 / size)) - 1);
  return (Math.ceil(1 / size / unit) * unit).toExponential(1);
}

/** |I| = ⌊δ·in·out⌋ */
function placeCount({ sp_ratio: ratio }: SltrainOptions, site: Site): number {
  return Math.floor(ratio * weightSize(site));
}

/** How many numbers it trains in all. @throws ProblemError those of attaching it */
export function sltrainCount(options: SltrainOptions, context: AttachContext): number {
  const { match, weights } = targetsOf(options, context);
  const inPairs = match.sites.reduce((sum, { shape: [out, width] }) => sum + options.r * (out! + width!), 0);
  return [...weights.values()].reduce((sum, site) => sum + placeCount(options, site), inPairs);
}

/** So many of the numbers from 0 to size − 1, each set of them as likely, rising (Bentley & Floyd 1987, "A sample of brilliance"). */
export function drawnPlaces(count: number, size: number, random: Random): Int32Array {
  const marks = new Uint8Array(size);
  for (let last = size - count; last < size; last++) {
    const place = random.integer(last + 1);
    marks[marks[place] === 1 ? last : place] = 1;
  }
  return placesOf(marks);
}

/** The low-rank part beside modules and the sparse part on their weights, as one method. */
function together(
  options: SltrainOptions,
  context: AttachContext,
  pairs: ReadonlyMap<string, LowRankPair>,
  sparse: Attached,
  found: Pick<Attached['coverage'], 'targets' | 'warnings'>,
): Attached {
  const { instance = '' } = context;
  const inPairs = [...pairs.values()].flatMap((pair): Trainable[] => {
    const start = (which: 0 | 1) => (): Float32Array =>
      drawnStart(pair, true, context.random('sltrain', pair.site.path))[which];
    return [
      { variable: pair.a, start: start(0), decays: true },
      { variable: pair.b, start: start(1), decays: true },
    ];
  });
  const trainables = [...inPairs, ...sparse.trainables];
  const keyOf = (name: string): string => {
    const own = name.slice(instance.length);
    return /\.lora_[AB]$/.test(own) ? peftKey(own) : own;
  };
  const valuesOf = (site: Site): string => `${instance}${valuesKey(site)}`;
  const sizes = new Map(sparse.trainables.map(({ variable }) => [variable.name, parameterSize(variable.shape)]));
  const trained = [...pairs.values()].map(({ site, a, b }) => ({
    path: site.path,
    shape: site.shape,
    trainable: parameterSize(a.shape) + parameterSize(b.shape) + (sizes.get(valuesOf(site)) ?? 0),
  }));
  const indicesOf = (site: Site): Int32Array => {
    const indices = context.prepared?.get(indicesKey(site));
    return indices instanceof Int32Array ? indices : new Int32Array(0);
  };
  const norm = (pair: LowRankPair, values: Values): number =>
    sparsePairNorm(
      { r: pair.r, scale: pair.scale, a: values.get(pair.a.name)!, b: values.get(pair.b.name)! },
      values.get(valuesOf(pair.site)) ?? new Float32Array(0),
      indicesOf(pair.site),
      pair.site.layout === 'in-out',
    );
  return {
    type: INFO.type,
    hooks: {
      ...sparse.hooks,
      output(site, x, y, { dropoutSeed: seed }) {
        const pair = pairs.get(site.path);
        if (pair === undefined) return y;
        const random = context.random('dropout', site.path);
        return lowRankOutput(pair, x, y, { rate: options.lora_dropout, seed, random });
      },
    },
    trainables,
    coverage: {
      ...sparse.coverage,
      ...found,
      modules: trained,
      layersCovered: new Set([...pairs.values()].flatMap(({ site }) => site.layer ?? [])).size,
      saves: l10n.t`adapter_model.safetensors with ${pairs.size} low-rank pairs, as many sparse differences with their places, and adapter_config.json`,
    },
    report: (values) =>
      [...pairs.values()].map((pair) => ({
        path: pair.site.path,
        rank: pair.r,
        scale: pair.scale,
        density: (sizes.get(valuesOf(pair.site)) ?? 0) / weightSize(pair.site),
        shape: parameterShape(pair.site, 'weight'),
        norm: norm(pair, values),
      })),
    merge(site, kind, base, values) {
      const pair = kind === 'weight' ? pairs.get(site.path) : undefined;
      const low = pair === undefined ? undefined : mergePair(pair, base, values);
      return sparse.merge!(site, kind, low ?? base, values) ?? low;
    },
    save(values) {
      const saved = sparse.save(values);
      if (saved.kind !== 'adapter') throw new Error('sparse differences are saved as an adapter');
      const tensors = inPairs.map(({ variable: { name, shape } }): NamedTensor => ({
        name: keyOf(name),
        shape: shape as readonly number[],
        data: values.get(name)!,
      }));
      return { ...saved, config: sltrainConfig(options, context), tensors: [...tensors, ...saved.tensors] };
    },
    load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
  };
}
