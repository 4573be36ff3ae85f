import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import { parameterShape } from '../models/site.js';
import type { ParameterKind, Site } from '../models/site.js';
import { after } from '../tensor/ops/after.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { reshape, slice } from '../tensor/ops/shape.js';
import { recomputed } from '../tensor/recompute.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { project } from './fastfood.js';
import { fastfood, projected } from './fastfoodNumbers.js';
import type { Fastfood } from './fastfoodNumbers.js';
import {
  FACTORS,
  POINT,
  checkSpanned,
  inspectIntrinsic,
  intrinsicConfigFromPeft,
  intrinsicConfigToPeft,
} from './intrinsicConfig.js';
import type { AttachContext, Method, SiteReport, Trainable, Values } from './method.js';
import { loadByKey, parameterSize } from './parameters.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { TargetMatch } from './targets.js';

/** Every module: the paper's subspace is one of all weights. */
const EVERYTHING = '.*';

export const IntrinsicOptions = Type.Object(
  {
    type: Type.Literal('intrinsic'),
    intrinsic_dim: Type.Integer({
      minimum: 1,
      default: 1000,
      description:
        'd, the dimension of the random subspace: so many numbers train, whatever the size of the model.',
    }),
    variant: Type.Union([Type.Literal('DID'), Type.Literal('SAID')], {
      default: 'SAID',
      description:
        '`DID`: all weights share one point z of d numbers. `SAID`: each layer scales its change by a factor that trains, too; the factors are taken out of the d numbers.',
    }),
    projection_prng_key: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2 ** 32 - 1,
        description: 'The seed that the random projection is drawn from; without it, that of the run decides.',
      }),
    ),
    head_in_subspace: Type.Boolean({
      default: true,
      description:
        'Whether the head of a task, where the model has one, is among the weights that the subspace is of, as in the paper; else it trains whole beside it.',
    }),
    ...TargetOptions,
    target_modules: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
      default: EVERYTHING,
      description:
        'The modules whose weights and biases move. A list matches names and path endings (`q_proj` matches `model.layers.0.self_attn.q_proj`); ' +
        'a string is a regular expression that must match the whole path: `.*` takes every module; `all-linear` takes every linear layer except the output layer.',
    }),
  },
  { additionalProperties: false },
);
export type IntrinsicOptions = Static<typeof IntrinsicOptions>;

/**
 * Training in a random subspace (Li, Farkhoor, Liu & Yosinski 2018; Aghajanyan, Gupta & Zettlemoyer 2021): of all weights
 * only a point z of a few numbers trains, which a fixed random projection takes to each tensor θᵢ.
 *
 *     DID   θᵢ = θ⁰ᵢ + Pᵢ z          z [d] (eq. 2)
 *     SAID  θᵢ = θ⁰ᵢ + λₗ Pᵢ z       z [d − m], λ [m], l the layer of tensor i
 *
 * z starts at zero and λ at one, so that the run starts from the base model. m is the number of layers plus one for what
 * stands outside of them (the paper has a λ per layer; its code one per tensor). Pᵢ is a Fastfood transform of a tensor
 * (see {@link Fastfood}), drawn anew from the seed whenever it is needed; θᵢ is built again in the backward pass. The gradient
 * is Pᵀ's own, where the authors' code has each Hadamard product divided by √N there and not in the forward pass. A z of
 * more numbers than a tensor's padded length is dealt out to several transforms; the authors' code drops what is left over.
 *
 * A head for a task is part of θ, as in the paper: where it starts anew, θ⁰ is drawn from the same seed.
 */
export const intrinsic: Method<typeof IntrinsicOptions> = {
  info: {
    type: 'intrinsic',
    family: 'low-rank',
    place: 'random subspace',
    title: 'Intrinsic dimension',
    summary:
      'Trains a point in a random subspace of all weights: as few numbers as one likes, whatever the model.',
    paper: {
      authors: 'Aghajanyan, Gupta & Zettlemoyer',
      year: 2021,
      title: 'Intrinsic Dimensionality Explains the Effectiveness of Language Model Fine-Tuning',
      arxiv: '2012.13255',
    },
    engines: ['embedded'],
    mergeable: true,
    options: IntrinsicOptions,
  },
  adaptsHead: ({ head_in_subspace: within }) => within,
  attach(given, context) {
    const { before = [], instance = '', model } = context;
    const inHead = given.head_in_subspace && before.length === 0 ? model.classes : undefined;
    const seed = given.projection_prng_key ?? context.random('intrinsic').integer(2 ** 32);
    const options = {
      ...given,
      projection_prng_key: seed,
      head_in_subspace: given.head_in_subspace && before.length === 0,
    };
    const match = matchTargets(options, model.sites, isPresent, context.idlePatterns);
    const { parameters, groups } = parametersOf(match.sites);
    const factors = options.variant === 'SAID' ? groups.length : 0;
    const count = options.intrinsic_dim - factors;
    if (count < 1) refuseDimension(options.intrinsic_dim, factors);
    const total = [...parameters.values()].reduce((sum, { size }) => sum + size, 0);
    if (options.intrinsic_dim > total) refuseSize(options.intrinsic_dim, total);
    const z = variable(`${instance}${POINT}`, [count]);
    const lambda = variable(`${instance}${FACTORS}`, [factors]);
    const point: Trainable = { variable: z, start: () => new Float32Array(count), decays: true };
    const trainables: Trainable[] =
      factors === 0
        ? [point]
        : [point, { variable: lambda, start: () => new Float32Array(factors).fill(1), decays: false }];

    const transforms = new Map<Parameter, Fastfood>();
    const transformOf = (parameter: Parameter): Fastfood => {
      const known = transforms.get(parameter) ?? fastfood(parameter.size, count, seed, parameter.key);
      transforms.set(parameter, known);
      return known;
    };
    const at = (site: Site, kind: ParameterKind): Parameter | undefined => parameters.get(site[kind] ?? '');
    /** θ⁰ of a head's parameter that the checkpoint does not hold. */
    const freshStart = ({ name, kind, key, size }: Parameter): Float32Array | undefined => {
      if (inHead?.fresh.has(name) !== true) return undefined;
      const draw = random(seed, 'head', key);
      return new Float32Array(size).map(() => (kind === 'bias' ? 0 : inHead.deviation * draw.normal()));
    };
    const moved = (parameter: Parameter, base: Tensor, x: Tensor | undefined): Tensor => {
      const { shape, group } = parameter;
      const own = factors === 0 ? z : mul(slice(lambda, 0, group, group + 1), z);
      const from = x === undefined ? own : after(own, x);
      const start = freshStart(parameter);
      const first = start === undefined ? base : constant(start, shape);
      return recomputed(add(first, reshape(project(transformOf(parameter), from), shape)), [base, from]);
    };
    /** λₗ Pᵢ z */
    const change = (parameter: Parameter, values: Values): Float64Array => {
      const factor = values.get(lambda.name)?.[parameter.group] ?? 1;
      return projected(
        transformOf(parameter),
        values.get(z.name)!.map((value) => factor * value),
      );
    };
    const keyOf = (name: string): string => name.slice(instance.length);
    return {
      type: 'intrinsic',
      hooks: {
        parameter(site, kind, base, _phase, x) {
          const parameter = at(site, kind);
          return parameter === undefined ? base : moved(parameter, base, x);
        },
      },
      trainables,
      coverage: {
        targets: match.entries,
        modules: trainables.map(({ variable: { name, shape } }) => ({
          path: name,
          shape: shape as readonly number[],
          trainable: parameterSize(shape),
        })),
        layersCovered: new Set(match.sites.flatMap(({ layer }) => (layer === undefined ? [] : [layer]))).size,
        ...(inHead === undefined ? {} : { classes: inHead.labels }),
        saves: l10n.t`adapter_model.safetensors with the ${formatCount(options.intrinsic_dim)} numbers that move ${formatCount(total)} weights, and adapter_config.json with the seed of the projection`,
        warnings: [...match.warnings, ...sharedWarnings(match, model.sites), ...sizeWarnings(options, total)],
      },
      report: (values) =>
        values.has(z.name) ? reported(parameters, match.sites, (each) => change(each, values)) : [],
      merge(site, kind, base, values) {
        const parameter = at(site, kind);
        if (parameter === undefined) return undefined;
        const first = freshStart(parameter) ?? base;
        return Float32Array.from(change(parameter, values), (value, place) => first[place]! + value);
      },
      save: (values) => ({
        kind: 'adapter',
        config: intrinsicConfigToPeft(options, context, spannedBy(parameters.values(), context)),
        tensors: trainables.map(({ variable: { name, shape } }) => ({
          name: keyOf(name),
          shape: shape as readonly number[],
          data: values.get(name)!,
        })),
        ...(inHead === undefined ? {} : { labels: inHead.labels }),
      }),
      load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
    };
  },
  peft: {
    type: 'INTRINSIC',
    options: intrinsicConfigFromPeft,
    checkBase({ config, configFile }, options, context) {
      const { sites } = matchTargets(options, context.model.sites, isPresent, 'warning');
      checkSpanned(config, spannedBy(parametersOf(sites).parameters.values(), context), configFile);
    },
    adaptsHead: (config) => config['head_in_subspace'] === true,
    inspect: inspectIntrinsic,
  },
};

/** Whether a module has numbers that can move. */
function isPresent({ weight, bias }: Site): boolean {
  return (weight ?? bias) !== undefined;
}

/** Numbers of the base that move. A head for classes is no part of it: it may start anew. */
function spannedBy(parameters: Iterable<Parameter>, { model }: AttachContext): number {
  const ofHead = new Set(model.classes?.sites.flatMap(({ weight, bias }) => [weight, bias]));
  return [...parameters].reduce((sum, { name, size }) => (ofHead.has(name) ? sum : sum + size), 0);
}

/** A tensor of the base that moves. */
interface Parameter {
  /** In the checkpoint. */
  readonly name: string;
  readonly kind: ParameterKind;
  /** What its random numbers are named by: `model.layers.0.self_attn.q_proj.weight` */
  readonly key: string;
  readonly shape: readonly number[];
  readonly size: number;
  /** The number of its λ. */
  readonly group: number;
}

/**
 * The parameters of sites by their name in the checkpoint, one that two sites share once; and what has a λ of its own:
 * the layers of each stack, and all that stands outside of them.
 */
function parametersOf(sites: readonly Site[]): {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly groups: readonly string[];
} {
  const groups: string[] = [];
  const parameters = new Map<string, Parameter>();
  for (const site of sites) {
    const layer = groupOf(site);
    if (!groups.includes(layer)) groups.push(layer);
    for (const kind of ['weight', 'bias'] as const) {
      const name = site[kind];
      if (name === undefined || parameters.has(name)) continue;
      const shape = parameterShape(site, kind);
      const key = `${site.path}.${kind}`;
      parameters.set(name, { name, kind, key, shape, size: parameterSize(shape), group: groups.indexOf(layer) });
    }
  }
  return { parameters, groups };
}

/** `model.layers.3`: the layers of two stacks may have the same numbers. */
function groupOf({ path, layer }: Site): string {
  if (layer === undefined) return '';
  const parts = path.split('.');
  const at = parts.findIndex((part) => /^\d+$/.test(part));
  return parts.slice(0, at + 1).join('.');
}

/** ‖Δθ‖ of weight and bias together, at each site. */
function reported(
  parameters: ReadonlyMap<string, Parameter>,
  sites: readonly Site[],
  change: (parameter: Parameter) => Float64Array,
): readonly SiteReport[] {
  const squares = new Map<Parameter, number>();
  for (const parameter of parameters.values()) {
    squares.set(
      parameter,
      change(parameter).reduce((sum, value) => sum + value * value, 0),
    );
  }
  return sites.map((site) => {
    const own = [site.weight, site.bias].map((name) => parameters.get(name ?? ''));
    const sum = own.reduce((sofar, each) => sofar + (each === undefined ? 0 : squares.get(each)!), 0);
    return { path: site.path, norm: Math.sqrt(sum) };
  });
}

function refuseDimension(dimension: number, factors: number): never {
  return fail({
    code: 'intrinsic.dimension',
    message: l10n.t`intrinsic_dim is ${dimension}, and ${factors} numbers are SAID's factors of layers: none is left for z`,
    expected: l10n.t`an intrinsic_dim of at least ${factors + 1}`,
    mend: l10n.t`Raise intrinsic_dim, or take variant: DID.`,
  });
}

/** More numbers than the weights have are no subspace; each tensor would take many transforms of them. */
function refuseSize(dimension: number, total: number): never {
  return fail({
    code: 'intrinsic.dimension-large',
    message: l10n.t`intrinsic_dim is ${dimension}, and the targeted weights have ${total} numbers`,
    expected: l10n.t`an intrinsic_dim of at most ${total}`,
    mend: l10n.t`Lower intrinsic_dim, target more modules, or train the weights themselves (full).`,
  });
}

/** As many numbers as the weights have: nothing is saved. */
function sizeWarnings({ intrinsic_dim: dimension }: IntrinsicOptions, total: number): Problem[] {
  if (2 * dimension <= total) return [];
  return [
    {
      code: 'intrinsic.dimension-large',
      severity: 'warning',
      message: l10n.t`${dimension} numbers train, and the targeted weights have ${total}`,
      expected: l10n.t`an intrinsic_dim far below that`,
      mend: l10n.t`Lower intrinsic_dim, or train the weights themselves (full).`,
    },
  ];
}

function sharedWarnings({ sites }: TargetMatch<Site>, all: readonly Site[]): Problem[] {
  const targeted = new Set(sites);
  return all
    .filter(({ weight }) => weight !== undefined)
    .flatMap((site) => {
      const shared = targeted.has(site) ? undefined : sites.find(({ weight }) => weight === site.weight);
      if (shared === undefined) return [];
      return [
        {
          code: 'intrinsic.shared',
          severity: 'warning' as const,
          message: l10n.t`${shared.path} and ${site.path} are one matrix: what trains in it changes both`,
          mend: l10n.t`Nothing to do, if that is meant; else take ${shared.path} out of target_modules.`,
        },
      ];
    });
}
