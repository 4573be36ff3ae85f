import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LanguageModel } from '../models/architecture.js';
import type { AttentionPlace, KeyValues, Phase } from '../models/site.js';
import { reshape, slice, transpose } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AttachContext, LoadedValues, Method, NamedTensor, SiteReport } from './method.js';
import { loadByKey, parameterSize } from './parameters.js';
import {
  checkPrefixSizes,
  inspectPrefix,
  prefixConfigFromPeft,
  prefixConfigToPeft,
} from './prefixTuningConfig.js';
import { PREFIX_KEY, flatPrefix, projectedPrefix } from './prefixEncoder.js';
import type { PrefixEncoder } from './prefixEncoder.js';
import { fromPeftPrefix, prefixLayout, toPeftPrefix } from './prefixLayout.js';

/** Prefix tuning's options, under the names and with the meaning of HF PEFT's `PrefixTuningConfig`. */
export const PrefixTuningOptions = Type.Object(
  {
    type: Type.Literal('prefix_tuning'),
    num_virtual_tokens: Type.Integer({
      minimum: 1,
      default: 20,
      description:
        'How many trained keys and values stand before those of every text, in each layer; they take up positions of the model.',
    }),
    prefix_projection: Type.Boolean({
      default: false,
      description:
        'Train a small network that makes keys and values out of an embedding, instead of these themselves: steadier, with many more numbers. It is left out of what is saved.',
    }),
    encoder_hidden_size: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Inner width of that network. Default: the width of keys, all heads together.',
      }),
    ),
    init_weights: Type.Optional(
      Type.Literal('zero', {
        description:
          '`zero`: keys and values start at 0. That is not the base model: zero keys take their share of the attention.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type PrefixTuningOptions = Static<typeof PrefixTuningOptions>;

/**
 * Prefix tuning (Li & Liang 2021, section 4): in every layer softmax(q·[K_p; K]ᵀ/√d)·[V_p; V], with only K_p and V_p
 * trained; with `prefix_projection` through P = MLP(P') (section 4.3), which is dropped after training. As in HF PEFT,
 * keys of the prefix are not turned by their position, and the text's positions start behind them; and in an
 * encoder-decoder it stands in the decoder's self-attention only, where the paper has one in the encoder and in
 * cross-attention too. It has no form as weights of the base, so it cannot be merged.
 *
 * No start is the base model: a zero key scores 0 with every query, and so takes n / (n + Σ eˢ) of the attention of n
 * such keys away from the text.
 */
export const prefixTuning: Method<typeof PrefixTuningOptions> = {
  info: {
    type: 'prefix_tuning',
    family: 'additive',
    place: 'input',
    title: 'Prefix tuning',
    summary: "Learns keys and values that stand before those of the text in every layer's attention.",
    paper: {
      authors: 'Li & Liang',
      year: 2021,
      title: 'Prefix-Tuning: Optimizing Continuous Prompts for Generation',
      arxiv: '2101.00190',
    },
    engines: ['embedded'],
    mergeable: false,
    options: PrefixTuningOptions,
  },
  attach(options, context) {
    const { model } = context;
    const count = options.num_virtual_tokens;
    checkRoom(count, model.maxPositions);
    const places = model.attentions;
    const encoder = encoderOf(options, places, context);
    const flat = [count, 2 * places.length * widthOf(places)];
    const saved = [count, 2 * prefixLayout(model).layers * widthOf(places)];
    /** Per graph the whole prefix, which every layer takes its part of. */
    const built = new WeakMap<Phase, Tensor>();
    const whole = (phase: Phase): Tensor => {
      const known = built.get(phase) ?? encoder.build();
      built.set(phase, known);
      return known;
    };
    return {
      type: 'prefix_tuning',
      hooks: {
        keysInFront: { length: count, at: (place, phase) => prefixAt(whole(phase), places, place) },
      },
      trainables: encoder.trainables,
      coverage: {
        targets: [{ entry: l10n.t`virtual tokens`, matched: count }],
        modules: encoder.trainables.map(({ variable: { name, shape } }) => ({
          path: name.slice((context.instance ?? '').length),
          shape: shape as readonly number[],
          trainable: parameterSize(shape),
        })),
        layersCovered: places.length,
        saves: l10n.t`adapter_model.safetensors with one tensor ${PREFIX_KEY} of ${saved.join(' × ')} numbers, and adapter_config.json`,
        warnings: idleWidth(options),
      },
      report: (values, brief) => reportPlaces(places, count, brief === true ? undefined : encoder.numbers(values)),
      save: (values) => ({
        kind: 'adapter',
        config: prefixConfigToPeft(options, places, context),
        tensors: [toPeftPrefix({ name: PREFIX_KEY, shape: flat, data: encoder.numbers(values) }, model)],
      }),
      load: (tensors, source) => loadFlat(encoder, context, tensors, source),
    };
  },
  peft: {
    type: 'PREFIX_TUNING',
    options: prefixConfigFromPeft,
    checkBase: (adapter, _options, { model }) => checkPrefixSizes(adapter, widthOf(model.attentions)),
    inspect: inspectPrefix,
  },
};

/** How many numbers are saved: keys and values, whatever makes them. */
export function prefixNumbers({ num_virtual_tokens: count }: PrefixTuningOptions, model: LanguageModel): number {
  return count * 2 * prefixLayout(model).layers * widthOf(model.attentions);
}

/** A text and its continuation need one position each at least. */
function checkRoom(count: number, maxPositions: number): void {
  const most = maxPositions - 2;
  if (count <= most) return;
  fail({
    code: 'prefix-tuning.positions',
    message: l10n.t`${count} virtual tokens leave no room for a text: the model has ${maxPositions} positions`,
    expected: l10n.t`num_virtual_tokens of at most ${most}`,
    mend: l10n.t`Lower num_virtual_tokens.`,
  });
}

/** Of all key heads together: PEFT's `token_dim`. */
function widthOf([first]: readonly AttentionPlace[]): number {
  return first!.keyHeads * first!.headSize;
}

function encoderOf(
  { num_virtual_tokens: count, prefix_projection: projects, ...options }: PrefixTuningOptions,
  places: readonly AttentionPlace[],
  context: AttachContext,
): PrefixEncoder {
  const width = widthOf(places);
  const sizes = { count, out: 2 * places.length * width, zero: options.init_weights === 'zero' };
  return projects
    ? projectedPrefix({ ...sizes, width, inner: options.encoder_hidden_size ?? width }, context)
    : flatPrefix(sizes, context);
}

/**
 * A layer's part of the prefix [n, 2·layers·width]: seen as [n, 2·layers, keyHeads, headSize], keys are at 2·layer and
 * values behind them, as PEFT has it.
 */
function prefixAt(whole: Tensor, places: readonly AttentionPlace[], place: AttentionPlace): KeyValues {
  const layer = places.findIndex(({ path }) => path === place.path);
  if (layer < 0) throw new Error(`the model does not list the attention ${place.path}`);
  const { keyHeads, headSize } = place;
  const count = whole.shape[0]!;
  const width = keyHeads * headSize;
  const part = (at: number): Tensor =>
    transpose(reshape(slice(whole, 1, at * width, (at + 1) * width), [count, keyHeads, headSize]), [1, 0, 2]);
  return { keys: part(2 * layer), values: part(2 * layer + 1) };
}

function idleWidth(options: PrefixTuningOptions): Problem[] {
  if (options.prefix_projection || options.encoder_hidden_size === undefined) return [];
  return [
    {
      code: 'prefix-tuning.width-unused',
      severity: 'warning',
      message: l10n.t`encoder_hidden_size is not used: prefix_projection is off`,
      mend: l10n.t`Set prefix_projection: true, or remove it.`,
    },
  ];
}

/** Per layer the Frobenius norm of its keys and values. */
function reportPlaces(
  places: readonly AttentionPlace[],
  count: number,
  numbers: Float32Array | undefined,
): readonly SiteReport[] {
  const part = 2 * widthOf(places);
  const row = part * places.length;
  return places.map(({ path }, layer) => {
    if (numbers === undefined) return { path, rank: count };
    let squares = 0;
    for (let token = 0; token < count; token++) {
      const from = token * row + layer * part;
      for (let at = from; at < from + part; at++) squares += numbers[at]! ** 2;
    }
    return { path, rank: count, norm: Math.sqrt(squares) };
  });
}

/** What is saved is keys and values: the network that made them cannot be had back from it. */
function loadFlat(
  encoder: PrefixEncoder,
  { instance = '', model }: AttachContext,
  tensors: ReadonlyMap<string, NamedTensor>,
  source: string,
): LoadedValues {
  if (encoder.isFlat) {
    const width = widthOf(model.attentions);
    const own = [...tensors].map(
      ([key, tensor]) => [key, key === PREFIX_KEY ? fromPeftPrefix(tensor, width, model) : tensor] as const,
    );
    return loadByKey(encoder.trainables, (name) => name.slice(instance.length), new Map(own), source);
  }
  return fail({
    code: 'prefix-tuning.projection',
    message: l10n.t`the adapter holds keys and values, and not the network that makes them with prefix_projection`,
    where: { file: source },
    mend: l10n.t`Set prefix_projection: false to go on from it.`,
  });
}
