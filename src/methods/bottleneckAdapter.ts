import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { Random } from '../common/random.js';
import { fixedShape } from '../tensor/dims.js';
import { add, where } from '../tensor/ops/elementwise.js';
import { scalar } from '../tensor/tensor.js';
import type { Variable } from '../tensor/tensor.js';
import { BottleneckOptions, bottleneckForm } from './adapterOptions.js';
import { adapterNames, adapterSet, layerWarnings, ofTask, readsSource } from './adapterSet.js';
import type { AdapterSet } from './adapterSet.js';
import { adapterConfigFromLibrary, adapterConfigToLibrary, inspectBottleneck } from './adaptersConfig.js';
import { baseParameters } from './baseParameters.js';
import { countOf, densityOf, maskFeeds } from './bitMask.js';
import type { Mask } from './bitMask.js';
import { bottleneckNorm, bottleneckResult, bottleneckVariables, scaleOf, wiring } from './bottleneck.js';
import type { AttachContext, Attached, Method, NamedTensor, SavedAdapter, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import {
  SparseOptions,
  checkStart,
  enlarged,
  idleSparse,
  keptCount,
  maskedStart,
  prune,
  prunedMatrices,
  readMasks,
} from './sparseAdapter.js';

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
    ...SparseOptions,
    name: Type.String({
      pattern: '^[^.,\\s/\\\\]+$',
      default: 'adapter',
      description: "The adapter's name in the `adapters` library. Where rows name tasks, theirs are the names.",
    }),
  },
  { additionalProperties: false },
);
export type AdapterOptions = Static<typeof AdapterOptions>;

/**
 * Adapter tuning: A(x) = s·(W_up·f(W_down·x + b_down) + b_up) in the layers of a frozen model, 2dm + d + m values each
 * (Houlsby et al. 2019, section 2.1); after one sublayer of each layer (Pfeiffer et al. 2021), or parallel to it (He et
 * al. 2022). Where each of them reads and adds: {@link wiring}. f makes it no update of a weight, so it cannot be merged.
 * With `sparsity`, SparseAdapter (He S. et al. 2022): a part of W_down and W_up is cut before the first step. Where rows
 * name their task each task has an adapter of its own, and a batch may mix tasks.
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
  prepares: ({ sparsity }) => sparsity > 0,
  async prepare(options, context) {
    if (options.sparsity === 0) return undefined;
    const dense = denseAdapter(options, context);
    const pruned = new Set(prunedMatrices(setsOf(options, context)).map(({ name }) => name));
    const matrices = dense.trainables.map(({ variable }) => variable).filter(({ name }) => pruned.has(name));
    return prune(options, matrices, dense, context);
  },
  check(options, context) {
    const sets = setsOf(options, context);
    if (options.sparsity === 0) return;
    checkStart(options, sets[0]!.form);
    keptCount(prunedMatrices(sets), options.sparsity);
  },
  attach: (options, context) => attached(options, context, options.sparsity > 0),
  peft: {
    type: 'BOTTLENECK',
    library: 'adapters',
    options: adapterConfigFromLibrary,
    inspect: inspectBottleneck,
  },
};

/** The adapter before anything of it is cut. */
export function denseAdapter(options: AdapterOptions, context: AttachContext): Attached {
  return attached(options, context, false);
}

/** How many numbers of an adapter train once it is cut. */
export function sparseCount(options: AdapterOptions, context: AttachContext): number {
  const matrices = prunedMatrices(setsOf(options, context));
  const size = (variables: readonly Variable[]): number =>
    variables.reduce((sum, { shape }) => sum + parameterSize(shape), 0);
  const all = size(denseAdapter(options, context).trainables.map(({ variable }) => variable));
  return all - size(matrices) + keptCount(matrices, options.sparsity);
}

/** @param sparse with the masks that were prepared */
function attached(options: AdapterOptions, context: AttachContext, sparse: boolean): Attached {
  const { model, instance = '', tasks = [] } = context;
  const sets = setsOf(options, context);
  const { form } = sets[0]!;
  const masks = sparse ? readMasks(prunedMatrices(sets), context) : new Map<Variable, Mask>();
  const norms = form.train_layer_norms ? normParameters(context) : [];
  const byParameter = new Map(norms.map((each) => [`${each.site.path}.${each.kind}`, each]));
  const ofNorms = norms.map((each) => readTrained(each, context));
  const bottlenecks = sets.flatMap(({ at }) => [...at.values()]);
  const trainables: Trainable[] = [
    ...sets.flatMap((set) => set.trainables.map((each) => maskedStart(each, masks.get(each.variable)))),
    ...ofNorms,
  ];
  const keyOf = (name: string): string => name.slice(instance.length);
  const saved = (set: AdapterSet, values: Values): SavedAdapter => ({
    kind: 'adapter',
    library: 'adapters',
    config: adapterConfigToLibrary(form, set.name, context),
    tensors: [...set.trainables, ...ofNorms].map(({ variable: { name, shape } }): NamedTensor => ({
      name: keyOf(name),
      shape: shape as readonly number[],
      data: values.get(name)!,
    })),
  });
  const trainedIn = (variables: readonly Variable[]): number =>
    variables.reduce(
      (sum, each) => sum + (masks.has(each) ? countOf(masks.get(each)!) : parameterSize(each.shape)),
      0,
    );
  return {
    type: 'adapter',
    ...(tasks.length > 0 ? { tasks } : {}),
    hooks: {
      ...(norms.length === 0
        ? {}
        : { parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base }),
      sublayer: (place, tensors, phase) => {
        if (!sets[0]!.at.has(place.path)) return tensors.output;
        const { x, residual } = wiring(form, tensors);
        const results = sets.map((set) => {
          const random = (): Random => context.random('dropout', set.name, place.path);
          return bottleneckResult(set.at.get(place.path)!, form, x, { seed: phase.dropoutSeed, random });
        });
        return add(residual, ofTask(results, phase, readsSource(place, model)));
      },
    },
    trainables,
    ...(sparse
      ? {
          gradient: (trainable, gradient) => {
            const mask = masks.get(trainable);
            return mask === undefined ? gradient : where(mask.input, gradient, scalar(0));
          },
          stepInputs: () => maskFeeds(masks.values()),
        }
      : {}),
    coverage: {
      targets:
        tasks.length === 0
          ? [{ entry: options.placement, matched: bottlenecks.length }]
          : sets.map(({ at }, task) => ({ entry: l10n.t`adapter of the task ${tasks[task]!}`, matched: at.size })),
      modules: [
        ...bottlenecks.map((each) => ({
          path: tasks.length === 0 ? each.place.path : each.path,
          shape: [model.hiddenSize, each.size],
          trainable: trainedIn(bottleneckVariables(each)),
        })),
        ...coveredParameters(norms),
      ],
      layersCovered: new Set(bottlenecks.map(({ place }) => place.layer)).size,
      saves:
        tasks.length === 0
          ? l10n.t`adapter.safetensors with ${trainables.length} tensors and adapter_config.json, as the adapters library reads them`
          : l10n.t`a folder for each of the tasks ${tasks.join(', ')}: adapter.safetensors and adapter_config.json, as the adapters library reads them`,
      warnings: [...layerWarnings(form, context), ...idleSparse(options)],
    },
    report: (values) => [
      ...bottlenecks.map((each) => ({
        path: tasks.length === 0 ? each.place.path : each.path,
        rank: each.size,
        scale: scaleOf(each, form, values),
        norm: bottleneckNorm(each, form, values),
      })),
      ...[...masks].map(([{ name, shape }, mask]) => ({
        path: name,
        density: densityOf(mask),
        shape: fixedShape(shape),
      })),
    ],
    save: (values) =>
      tasks.length === 0
        ? saved(sets[0]!, values)
        : { kind: 'adapters', byTask: new Map(sets.map((set, task) => [tasks[task]!, saved(set, values)])) },
    load: (tensors, source) => loadByKey(trainables, keyOf, withWholePaths(tensors, trainables, keyOf), source),
  };
}

/** One adapter, or one for each task that rows name. */
function setsOf(options: AdapterOptions, context: AttachContext): readonly AdapterSet[] {
  const { tasks = [], model } = context;
  const form = enlarged(bottleneckForm(options.placement, options, model.hiddenSize), options);
  const names = tasks.length === 0 ? [options.name] : adapterNames(tasks);
  return names.map((name) => adapterSet(form, name, context));
}

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
