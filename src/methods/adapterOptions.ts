import { Type } from '@sinclair/typebox';
import type { Static, TObject } from '@sinclair/typebox';
import { gelu, geluTanh, relu, sigmoid, silu, tanh } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';

const POSITIVE = Type.Number({ exclusiveMinimum: 0 });

/** Where and how bottleneck adapters sit, under the names of the `adapters` library's `BnConfig`. */
export const BottleneckOptions = {
  mh_adapter: Type.Optional(
    Type.Boolean({
      description: 'An adapter after each attention. Default: `houlsby` true, else false.',
    }),
  ),
  output_adapter: Type.Optional(
    Type.Boolean({ description: 'An adapter after each feed-forward part. Default: true.' }),
  ),
  cross_adapter: Type.Optional(
    Type.Boolean({
      description: "An adapter after each attention of a decoder to its encoder's result. Default: false.",
    }),
  ),
  reduction_factor: Type.Optional(
    Type.Union([POSITIVE, Type.Record(Type.String(), POSITIVE)], {
      description:
        'The hidden size divided by this is the size of the bottleneck, rounded down; or a factor for each layer ' +
        'by its number, `default` for the others. Default: 16, `parallel` 2.',
    }),
  ),
  bottleneck_size: Type.Optional(
    Type.Integer({ minimum: 1, description: 'The size of the bottleneck itself, instead of `reduction_factor`.' }),
  ),
  non_linearity: Type.Optional(
    Type.Union(
      [
        Type.Literal('relu'),
        Type.Literal('gelu'),
        Type.Literal('gelu_new'),
        Type.Literal('swish'),
        Type.Literal('silu'),
        Type.Literal('sigmoid'),
        Type.Literal('tanh'),
      ],
      { description: 'What stands between the projections. Default: `relu`, `houlsby` gelu.' },
    ),
  ),
  original_ln_before: Type.Optional(
    Type.Boolean({
      description:
        "Whether the adapter reads the stream after the addition and, in models that have it there, the base's norm; " +
        'false: the bare result of the sublayer. Not for parallel ones. Default: `pfeiffer` true, `houlsby` false.',
    }),
  ),
  residual_before_ln: Type.Optional(
    Type.Union([Type.Boolean(), Type.Literal('post_add')], {
      description:
        "What is added to the adapter's result with `original_ln_before`: the sublayer's result (true), the stream " +
        'after the addition (`post_add`), or what the adapter reads (false). Default: true.',
    }),
  ),
  is_parallel: Type.Optional(
    Type.Boolean({
      description:
        'Whether it reads the stream before the sublayer and its result is added to that of the sublayer. Default: ' +
        '`parallel` true, else false.',
    }),
  ),
  scaling: Type.Optional(
    Type.Union([Type.Number(), Type.Literal('learned'), Type.Literal('channel')], {
      description:
        "What the adapter's result is multiplied by: a number, a trained one (`learned`), or one for each channel " +
        '(`channel`); both start at 1. Default: 1, `parallel` 4.',
    }),
  ),
  init_weights: Type.Optional(
    Type.Union([Type.Literal('bert'), Type.Literal('mam_adapter'), Type.Literal('houlsby')], {
      description:
        'Where weights start: `bert`: normal, deviation 0.02; `houlsby`: deviation 0.01, cut at two deviations; ' +
        '`mam_adapter`: the upper one zero, so that the model is unchanged at first. Biases start at zero. Default: ' +
        '`houlsby` for that placement, `parallel` mam_adapter, `pfeiffer` bert.',
    }),
  ),
  dropout: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0,
    description: "Share of the adapter's result that is dropped while training.",
  }),
  leave_out: Type.Array(Type.Integer({ minimum: 0 }), {
    default: [],
    description: 'Numbers of the layers without an adapter.',
  }),
  train_layer_norms: Type.Optional(
    Type.Boolean({
      description:
        "Whether the base's norms train as well; they are saved with the adapter. Default: `houlsby` true, else false.",
    }),
  ),
};

/** The options of one kind of adapter, before a placement fills in what is left out. */
export type BottleneckChoice = Static<TObject<typeof BottleneckOptions>>;

/** Names that the literature gives to settings that belong together. */
export const PLACEMENTS = ['pfeiffer', 'houlsby', 'parallel'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/** An adapter's options with nothing left open. */
export interface BottleneckForm {
  readonly mh_adapter: boolean;
  readonly output_adapter: boolean;
  readonly cross_adapter: boolean;
  readonly reduction_factor: number | Readonly<Record<string, number>>;
  readonly non_linearity: NonNullable<BottleneckChoice['non_linearity']>;
  readonly original_ln_before: boolean;
  readonly residual_before_ln: boolean | 'post_add';
  readonly is_parallel: boolean;
  readonly scaling: number | 'learned' | 'channel';
  readonly init_weights: NonNullable<BottleneckChoice['init_weights']>;
  readonly dropout: number;
  readonly leave_out: readonly number[];
  readonly train_layer_norms: boolean;
}

/** Pfeiffer et al. 2021; what the others do not say holds for them, too. */
const PFEIFFER: Omit<BottleneckForm, 'dropout' | 'leave_out'> = {
  mh_adapter: false,
  output_adapter: true,
  cross_adapter: false,
  reduction_factor: 16,
  non_linearity: 'relu',
  original_ln_before: true,
  residual_before_ln: true,
  is_parallel: false,
  scaling: 1,
  init_weights: 'bert',
  train_layer_norms: false,
};

const DEFAULTS: Readonly<Record<Placement, Omit<BottleneckForm, 'dropout' | 'leave_out'>>> = {
  pfeiffer: PFEIFFER,
  // Houlsby et al. 2019, section 2.1, and their code: GELU, and layer norms train.
  houlsby: {
    ...PFEIFFER,
    mh_adapter: true,
    non_linearity: 'gelu',
    original_ln_before: false,
    init_weights: 'houlsby',
    train_layer_norms: true,
  },
  // He et al. 2022, section 4.6 and appendix A.2.
  parallel: {
    ...PFEIFFER,
    reduction_factor: 2,
    original_ln_before: false,
    is_parallel: true,
    scaling: 4,
    init_weights: 'mam_adapter',
  },
};

/**
 * The options of a placement with those that a run file changes.
 * @param width of the model: turns `bottleneck_size` into a factor
 */
export function bottleneckForm(placement: Placement, choice: BottleneckChoice, width: number): BottleneckForm {
  const { bottleneck_size: size, ...given } = choice;
  const chosen = Object.fromEntries(
    Object.entries(given).filter(([name]) => Object.hasOwn(BottleneckOptions, name)),
  );
  const factor = size === undefined ? {} : { reduction_factor: factorFor(size, width) };
  return { ...DEFAULTS[placement], dropout: 0, leave_out: [], ...chosen, ...factor };
}

/** ⌊width / factor⌋ as Python computes `width // factor`, at least 1. */
export function bottleneckSize(width: number, factor: number): number {
  return Math.max(1, Math.round((width - (width % factor)) / factor));
}

/** A factor that gives just this size: width / size may round to a number slightly too large. */
function factorFor(size: number, width: number): number {
  const factor = width / size;
  return bottleneckSize(width, factor) === size ? factor : width / (size + 0.5);
}

/** The reduction factor of a layer; undefined where a map names neither it nor a `default`. */
export function factorOf({ reduction_factor: factor }: BottleneckForm, layer: number): number | undefined {
  return typeof factor === 'number' ? factor : (factor[layer] ?? factor['default']);
}

export const NON_LINEARITIES: Readonly<Record<BottleneckForm['non_linearity'], (x: Tensor) => Tensor>> = {
  relu,
  gelu,
  gelu_new: geluTanh,
  swish: silu,
  silu,
  sigmoid,
  tanh,
};
