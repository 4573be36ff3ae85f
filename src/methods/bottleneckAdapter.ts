import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { add } from '../tensor/ops/elementwise.js';
import { BottleneckOptions, bottleneckForm } from './adapterOptions.js';
import { adapterSet, layerWarnings } from './adapterSet.js';
import { adapterConfigFromLibrary, adapterConfigToLibrary, inspectBottleneck } from './adaptersConfig.js';
import { baseParameters } from './baseParameters.js';
import { bottleneckNorm, bottleneckResult, bottleneckVariables, scaleOf, wiring } from './bottleneck.js';
import type { AttachContext, Method, NamedTensor, Trainable } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';

/** Options of bottleneck adapters, under the names of the `adapters` library's `BnConfig`. */
export const AdapterOptions = Type.Object(
  {
    type: Type.Literal('adapter'),
    placement: Type.Union([Type.Literal('pfeiffer'), Type.Literal('houlsby'), Type.Literal('parallel')], {
      default: 'pfeiffer',
      description:
        'What the other options are unless they are given: `pfeiffer`: one after each feed-forward part; `houlsby`: ' +
        'one after each attention and feed-forward part, norms train; `parallel`: one beside each feed-forward part.',
    }),
    ...BottleneckOptions,
    name: Type.String({
      pattern: '^[^.,\\s/\\\\]+$',
      default: 'adapter',
      description: "The adapter's name in the `adapters` library.",
    }),
  },
  { additionalProperties: false },
);
export type AdapterOptions = Static<typeof AdapterOptions>;

/**
 * Adapter tuning: A(x) = s·(W_up·f(W_down·x + b_down) + b_up) in the layers of a frozen model, 2dm + d + m values each
 * (Houlsby et al. 2019, section 2.1); after one sublayer of each layer (Pfeiffer et al. 2021), or parallel to it (He et
 * al. 2022). Where each of them reads and adds: {@link wiring}. f makes it no update of a weight, so it cannot be merged.
 */
export const bottleneckAdapter: Method<typeof AdapterOptions> = {
  info: {
    type: 'adapter',
    family: 'additive',
    place: 'model',
    title: 'Adapter tuning',
    summary: 'Learns small bottleneck networks in the layers of the frozen model (Houlsby, Pfeiffer, parallel).',
    paper: {
      authors: 'Houlsby, Giurgiu, Jastrzebski, Morrone, de Laroussilhe, Gesmundo, Attariyan & Gelly',
      year: 2019,
      title: 'Parameter-Efficient Transfer Learning for NLP',
      arxiv: '1902.00751',
    },
    engines: ['embedded'],
    mergeable: false,
    options: AdapterOptions,
  },
  attach(options, context) {
    const { model, instance = '' } = context;
    const form = bottleneckForm(options.placement, options, model.hiddenSize);
    const set = adapterSet(form, options.name, context);
    const norms = form.train_layer_norms ? normParameters(context) : [];
    const byParameter = new Map(norms.map((each) => [`${each.site.path}.${each.kind}`, each]));
    const trainables: Trainable[] = [...set.trainables, ...norms.map((each) => readTrained(each, context))];
    const keyOf = (name: string): string => name.slice(instance.length);
    return {
      type: 'adapter',
      hooks: {
        ...(norms.length === 0
          ? {}
          : { parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base }),
        sublayer: (place, tensors, phase) => {
          const own = set.at.get(place.path);
          if (own === undefined) return tensors.output;
          const { x, residual } = wiring(form, tensors);
          const dropped = { seed: phase.dropoutSeed, random: context.random('dropout', place.path) };
          return add(residual, bottleneckResult(own, form, x, dropped));
        },
      },
      trainables,
      coverage: {
        targets: [{ entry: options.placement, matched: set.at.size }],
        modules: [
          ...[...set.at.values()].map((each) => ({
            path: each.place.path,
            shape: [model.hiddenSize, each.size],
            trainable: bottleneckVariables(each).reduce((sum, { shape }) => sum + parameterSize(shape), 0),
          })),
          ...coveredParameters(norms),
        ],
        layersCovered: new Set([...set.at.values()].map(({ place }) => place.layer)).size,
        saves: `adapter.safetensors with ${trainables.length} tensors and adapter_config.json, as the adapters library reads them`,
        warnings: layerWarnings(form, context),
      },
      report: (values) =>
        [...set.at.values()].map((each) => ({
          path: each.place.path,
          rank: each.size,
          scale: scaleOf(each, form, values),
          norm: bottleneckNorm(each, form, values),
        })),
      save: (values) => ({
        kind: 'adapter',
        library: 'adapters',
        config: adapterConfigToLibrary(form, options.name, context),
        tensors: trainables.map(({ variable: { name, shape } }): NamedTensor => ({
          name: keyOf(name),
          shape: shape as readonly number[],
          data: values.get(name)!,
        })),
      }),
      load: (tensors, source) => loadByKey(trainables, keyOf, withWholePaths(tensors, trainables, keyOf), source),
    };
  },
  peft: {
    type: 'BOTTLENECK',
    library: 'adapters',
    options: adapterConfigFromLibrary,
    inspect: inspectBottleneck,
  },
};

/** Weights and biases of the base's norms; a checkpoint's own names may lack a prefix, which the library's have. */
function normParameters(context: AttachContext): TrainedParameter[] {
  return [...baseParameters(context).values()]
    .filter(({ site }) => site.kind === 'norm')
    .map((each) => {
      const key = `${each.site.path}.${each.kind}`;
      return { ...each, key, variable: { ...each.variable, name: `${context.instance ?? ''}${key}` } };
    });
}

/** An adapter of the bare backbone lacks the first part of all paths. */
function withWholePaths(
  tensors: ReadonlyMap<string, NamedTensor>,
  trainables: readonly Trainable[],
  keyOf: (name: string) => string,
): ReadonlyMap<string, NamedTensor> {
  const first = keyOf(trainables[0]!.variable.name);
  const prefix = first.slice(0, first.indexOf('.') + 1);
  if (tensors.has(first) || !tensors.has(first.slice(prefix.length))) return tensors;
  return new Map([...tensors].map(([key, tensor]) => [`${prefix}${key}`, tensor]));
}
