import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Random } from '../common/random.js';
import { lowRankNorm } from '../linalg/products.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Phase, Stack, SublayerPlace } from '../models/site.js';
import { add, relu } from '../tensor/ops/elementwise.js';
import { layerNorm } from '../tensor/ops/normalization.js';
import { matmul } from '../tensor/ops/matmul.js';
import { dropout } from '../tensor/ops/random.js';
import { variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { ofTask, readsSource } from './adapterSet.js';
import { ciatConfigFromPeft, ciatConfigToPeft, inspectCiat } from './ciatConfig.js';
import type { AttachContext, Method, NamedTensor, SavedAdapter, Trainable, Values } from './method.js';
import { loadByKey, parameterSize } from './parameters.js';
import type { OptionProblem } from './targets.js';

export const CiatOptions = Type.Object(
  {
    type: Type.Literal('ciat'),
    bottleneck_size: Type.Optional(
      Type.Integer({ minimum: 1, description: 'The size of the bottleneck. Default: half of the hidden size.' }),
    ),
    dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inner activations that is dropped while training.',
    }),
    init_weights: Type.Union([Type.Literal('glorot'), Type.Literal('zero')], {
      default: 'glorot',
      description:
        'Where weights start: `glorot`: all uniform by their size, so that the start is not the base model; `zero`: the ' +
        'upper ones zero, so that it is. Biases start at zero.',
    }),
    embedding_adapters: Type.Boolean({
      default: true,
      description: 'An adapter with a norm of its own on what the first layer of encoder and decoder reads.',
    }),
    layer_adapters: Type.Boolean({
      default: true,
      description: 'An adapter beside each self-attention and feed-forward part.',
    }),
  },
  { additionalProperties: false },
);
export type CiatOptions = Static<typeof CiatOptions>;

/** A(x) = W₂·relu(W₁·x + b₁) + b₂ at one place, W₁ [m, d] and W₂ [d, m]. */
interface PlaceAdapter {
  /** The place's own path; of a stack's input `decoder.embedding`. */
  readonly path: string;
  readonly layer: number | undefined;
  readonly down: Variable;
  readonly downBias: Variable;
  readonly up: Variable;
  readonly upBias: Variable;
  /** Weight and bias of its own norm: of embedding adapters. */
  readonly norm: readonly [Variable, Variable] | undefined;
}

/** TensorFlow's layer norm in CIAT's code. */
const EPSILON = 1e-6;

/**
 * CIAT (Zhu et al. 2021, section 3): adapters for each language pair (task) beside a frozen multilingual model: on the
 * input of each stack, e + A(LN(e)), with a norm of its own; and parallel to each self-attention and feed-forward part,
 * x + F(LN(x)) + A(LN(x)), fed by the base's own norm. Rows name their pair; without names there is one for all.
 */
export const ciat: Method<typeof CiatOptions> = {
  info: {
    type: 'ciat',
    family: 'additive',
    place: 'model',
    title: 'CIAT',
    summary:
      'Learns adapters per task (language pair) on embeddings and, in parallel, in the layers of a frozen model.',
    paper: {
      authors: 'Zhu, Feng, Zhao, Wang & Li',
      year: 2021,
      title: 'Counter-Interference Adapter for Multilingual Machine Translation',
      arxiv: '2104.08154',
    },
    engines: ['embedded'],
    mergeable: false,
    options: CiatOptions,
  },
  attach(options, context) {
    const { model, tasks = [] } = context;
    const width = model.hiddenSize;
    const size = sizeOf(options, model);
    checkAnything(options);
    const own = tasks.length === 0 ? [''] : tasks.map((_, task) => `${task}/`);
    const sets = own.map((prefix) => placeAdapters(options, context, prefix));
    const trainablesOf = sets.map((set) => [...set.values()].flatMap((each) => startOf(each, options, context)));
    const trainables = trainablesOf.flat();
    const result = (path: string, x: Tensor, phase: Phase, ofSource: boolean): Tensor => {
      const results = sets.map((set, task) => {
        const random = (): Random => context.random('dropout', path, task);
        return resultOf(set.get(path)!, x, options.dropout, phase.dropoutSeed, random);
      });
      return ofTask(results, phase, ofSource);
    };
    const keyOf =
      (task: number) =>
      (name: string): string =>
        name.slice((context.instance ?? '').length + own[task]!.length);
    const saved = (task: number, values: Values): SavedAdapter => ({
      kind: 'adapter',
      config: ciatConfigToPeft(options, size, context),
      tensors: trainablesOf[task]!.map(({ variable: { name, shape } }): NamedTensor => ({
        name: keyOf(task)(name),
        shape: shape as readonly number[],
        data: values.get(name)!,
      })),
    });
    const adapters = sets.flatMap((set, task) => [...set.values()].map((each) => ({ each, task })));
    const label = (path: string, task: number): string =>
      tasks.length === 0 ? path : `${path} (${tasks[task]!})`;
    return {
      type: 'ciat',
      ...(tasks.length > 0 ? { tasks } : {}),
      hooks: {
        stackInput: (stack, x, phase) => {
          if (!options.embedding_adapters) return x;
          const ofSource = model.kind === 'encoder-decoder' && stack === 'encoder';
          return add(x, result(stackPath(stack), x, phase, ofSource));
        },
        sublayer: (place, { input, output }, phase) =>
          sets[0]!.has(place.path)
            ? add(output, result(place.path, input, phase, readsSource(place, model)))
            : output,
      },
      trainables,
      coverage: {
        targets:
          tasks.length === 0
            ? [{ entry: 'ciat', matched: adapters.length }]
            : tasks.map((task, at) => ({ entry: l10n.t`adapters of the task ${task}`, matched: sets[at]!.size })),
        modules: adapters.map(({ each, task }) => ({
          path: label(each.path, task),
          shape: [width, size],
          trainable: variablesOf(each).reduce((sum, { shape }) => sum + parameterSize(shape), 0),
        })),
        layersCovered: new Set(adapters.flatMap(({ each }) => each.layer ?? [])).size,
        saves:
          tasks.length === 0
            ? l10n.t`adapter_model.safetensors with ${trainables.length} tensors and adapter_config.json (PEFT Studio alone reads it)`
            : l10n.t`a folder for each of the tasks ${tasks.join(', ')}: adapter_model.safetensors and adapter_config.json (PEFT Studio alone reads them)`,
        warnings: [],
      },
      report: (values) =>
        adapters.map(({ each, task }) => {
          const norm = lowRankNorm(values.get(each.up.name)!, values.get(each.down.name)!, size);
          return { path: label(each.path, task), rank: size, scale: 1, norm };
        }),
      save: (values) =>
        tasks.length === 0
          ? saved(0, values)
          : { kind: 'adapters', byTask: new Map(tasks.map((task, at) => [task, saved(at, values)])) },
      load: (tensors, source) => loadByKey(trainables, keyOf(0), tensors, source),
    };
  },
  peft: { type: 'CIAT', options: ciatConfigFromPeft, inspect: inspectCiat },
};

/** m, in the code half of d. */
function sizeOf({ bottleneck_size: size }: CiatOptions, { hiddenSize }: LanguageModel): number {
  return size ?? Math.max(1, Math.floor(hiddenSize / 2));
}

function checkAnything({ embedding_adapters: embeddings, layer_adapters: layers }: CiatOptions): void {
  if (embeddings || layers) return;
  const problem: OptionProblem = {
    code: 'ciat.nothing',
    message: l10n.t`neither embeddings nor layers get an adapter`,
    expected: l10n.t`embedding_adapters or layer_adapters true`,
    option: ['layer_adapters'],
  };
  fail(problem);
}

function stackPath(stack: Stack): string {
  return `${stack}.embedding`;
}

function stacksOf({ kind }: LanguageModel): readonly Stack[] {
  return kind === 'encoder-decoder' ? ['encoder', 'decoder'] : [kind];
}

/** The adapters of one task by their places, in the order of the forward pass. */
function placeAdapters(
  options: CiatOptions,
  { model, instance = '' }: AttachContext,
  prefix: string,
): ReadonlyMap<string, PlaceAdapter> {
  const width = model.hiddenSize;
  const size = sizeOf(options, model);
  const at = (path: string, layer: number | undefined, ownNorm: boolean): [string, PlaceAdapter] => {
    const own = (end: string, shape: readonly number[]): Variable =>
      variable(`${instance}${prefix}${path}.ciat.${end}`, shape);
    return [
      path,
      {
        path,
        layer,
        down: own('down.weight', [size, width]),
        downBias: own('down.bias', [size]),
        up: own('up.weight', [width, size]),
        upBias: own('up.bias', [width]),
        norm: ownNorm ? [own('norm.weight', [width]), own('norm.bias', [width])] : undefined,
      },
    ];
  };
  const isAdapted = ({ kind }: SublayerPlace): boolean => kind !== 'cross-attention';
  return new Map([
    ...(options.embedding_adapters ? stacksOf(model).map((stack) => at(stackPath(stack), undefined, true)) : []),
    ...(options.layer_adapters
      ? model.sublayers.filter(isAdapted).map(({ path, layer }) => at(path, layer, false))
      : []),
  ]);
}

function variablesOf({ norm, down, downBias, up, upBias }: PlaceAdapter): readonly Variable[] {
  return [...(norm ?? []), down, downBias, up, upBias];
}

/** A(x), of a normed x where the adapter has a norm of its own; x [..., width]. */
function resultOf(
  { norm, down, downBias, up, upBias }: PlaceAdapter,
  x: Tensor,
  rate: number,
  seed: Tensor | undefined,
  random: () => Random,
): Tensor {
  const read = norm === undefined ? x : layerNorm(x, norm[0], norm[1], EPSILON);
  const inner = relu(add(matmul(read, down, { transposeB: true }), downBias));
  const kept = seed === undefined || rate === 0 ? inner : dropout(inner, rate, seed, random().integer(2 ** 32));
  return add(matmul(kept, up, { transposeB: true }), upBias);
}

/** Weights start as Glorot & Bengio 2010 (eq. 16) has them, U(±√(6 / (in + out))); W₂ may start at zero. */
function startOf(adapter: PlaceAdapter, { init_weights: init }: CiatOptions, context: AttachContext): Trainable[] {
  const { norm, down, downBias, up, upBias } = adapter;
  const filled = (of: Variable, value: number): Trainable => ({
    variable: of,
    start: () => new Float32Array(parameterSize(of.shape)).fill(value),
    decays: false,
  });
  const weight = (of: Variable): Trainable => ({
    variable: of,
    start: () => {
      const random = context.random('ciat', of.name);
      const [rows, columns] = of.shape as [number, number];
      const bound = Math.sqrt(6 / (rows + columns));
      return Float32Array.from({ length: rows * columns }, () => (2 * random.uniform() - 1) * bound);
    },
    decays: true,
  });
  return [
    ...(norm === undefined ? [] : [filled(norm[0], 1), filled(norm[1], 0)]),
    weight(down),
    filled(downBias, 0),
    init === 'zero' ? { ...filled(up, 0), decays: true } : weight(up),
    filled(upBias, 0),
  ];
}
