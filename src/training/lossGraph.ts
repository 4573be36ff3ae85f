import type { Batch } from '../data/example.js';
import type { LanguageModel } from '../models/architecture.js';
import { createScope } from '../models/scope.js';
import type { Scope } from '../models/scope.js';
import type { Hooks, Phase } from '../models/site.js';
import type { Value } from '../runtime/runtime.js';
import { dim, multiplyDims } from '../tensor/dims.js';
import { crossEntropy } from '../tensor/ops/crossEntropy.js';
import { cast, equal } from '../tensor/ops/elementwise.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { argMax, reduceSum } from '../tensor/ops/reduce.js';
import { reshape } from '../tensor/ops/shape.js';
import type { Shape, Tensor } from '../tensor/tensor.js';
import { input } from '../tensor/tensor.js';

export interface LossGraph {
  /** Cross-entropy summed over the supervised tokens, in nats, []. */
  readonly lossSum: Tensor;
  /** Of each supervised token, [n]. */
  readonly losses: Tensor;
  /** [n] bool: is the most likely token the right one. */
  readonly correct: Tensor;
  /** [n] int32: what is most likely, a token or a class. */
  readonly predicted: Tensor;
  readonly scope: Scope;
  readonly phase: Phase;
  /** What methods have measured, by name. */
  readonly observed: ReadonlyMap<string, Tensor>;
}

/** The input of a graph that begins at a layer: what this layer reads, [batch, sequence, hidden]. */
export const FROZEN_OUTPUTS = 'frozen_outputs';

/**
 * The loss of a batch. Logits are computed for the positions that predict a supervised token and for no others.
 *
 * @param options.positionLimit no example is longer than this
 * @param options.observing whether methods have tensors measured
 * @param options.frozenBelow the layer that the graph begins at, with {@link FROZEN_OUTPUTS}; default: token ids
 * @param options.targets what each predictor is to predict, int32 [n], of its logits [n, classes]; default: what is fed
 */
export function lossGraph(
  model: LanguageModel,
  hooks: readonly Hooks[],
  options: {
    readonly training: boolean;
    readonly positionLimit: number;
    readonly observing?: boolean;
    readonly frozenBelow?: number | undefined;
    readonly targets?: (logits: Tensor) => Tensor;
  },
): LossGraph {
  const [batch, sequence, predicted] = [dim('batch'), dim('sequence'), dim('predictors')];
  const tokens = [batch, sequence];
  const sources = [batch, dim('source')];
  const segments = input('segments', 'int32', tokens);
  const sourceSegments = input('source_segments', 'int32', sources);
  const observed = new Map<string, Tensor>();
  const phase: Phase = {
    dropoutSeed: options.training ? input('dropout_seed', 'int32', []) : undefined,
    tasks: input('tasks', 'int32', tokens),
    sourceTasks: input('source_tasks', 'int32', sources),
    ...(options.observing === true
      ? { measuring: { segments, sourceSegments, sum: (name, sum) => void observed.set(name, sum) } }
      : {}),
  };
  const { frozenBelow: layer } = options;
  const given = layer === undefined ? undefined : { layer, x: frozenOutputs([batch, sequence], model) };
  const scope = createScope(model.sites, hooks, phase, given);
  const source = model.encoder?.encode(scope, {
    inputIds: input('source_ids', 'int32', sources),
    segments: sourceSegments,
    positionLimit: options.positionLimit,
  });
  const { hidden } = model.decode(scope, {
    ...(source === undefined ? {} : { source }),
    inputIds: input('input_ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments,
    ...(model.kind === 'encoder' ? { tokenTypes: input('token_types', 'int32', tokens) } : {}),
    positionLimit: options.positionLimit,
  });
  const flat = reshape(hidden, [multiplyDims(batch, sequence), model.hiddenSize]);
  const logits = model.head(scope, gatherRows(flat, input('predictors', 'int32', [predicted])));
  const likely = cast(argMax(logits), 'int32');
  const targets = options.targets?.(logits) ?? input('targets', 'int32', [predicted]);
  const losses = crossEntropy(logits, targets);
  return {
    lossSum: reduceSum(losses, [0]),
    losses,
    correct: equal(likely, targets),
    predicted: likely,
    scope,
    phase,
    observed,
  };
}

function frozenOutputs(tokens: Shape, { hiddenSize }: LanguageModel): Tensor {
  return input(FROZEN_OUTPUTS, 'float32', [...tokens, hiddenSize]);
}

/** What an evaluation asks of the graph: of classes, which one was told, since some metrics go by class. */
export function evaluationOutputs(
  { lossSum, correct, predicted }: LossGraph,
  { classes }: Pick<LanguageModel, 'classes'>,
): Record<string, Tensor> {
  return classes === undefined ? { loss: lossSum, correct } : { loss: lossSum, predicted };
}

/** A batch as the loss graph's inputs. */
export function batchFeeds(batch: Batch): Record<string, Value> {
  const tokens = [batch.rows, batch.length];
  const predicted = [batch.predictors.length];
  const { source } = batch;
  const sources = [batch.rows, source?.length ?? 0];
  return {
    ...(source === undefined
      ? {}
      : {
          source_ids: { dtype: 'int32', shape: sources, data: source.ids },
          source_segments: { dtype: 'int32', shape: sources, data: source.segments },
          source_tasks: { dtype: 'int32', shape: sources, data: source.tasks },
        }),
    input_ids: { dtype: 'int32', shape: tokens, data: batch.inputIds },
    positions: { dtype: 'int32', shape: tokens, data: batch.positions },
    segments: { dtype: 'int32', shape: tokens, data: batch.segments },
    token_types: { dtype: 'int32', shape: tokens, data: batch.types },
    tasks: { dtype: 'int32', shape: tokens, data: batch.tasks },
    predictors: { dtype: 'int32', shape: predicted, data: batch.predictors },
    targets: { dtype: 'int32', shape: predicted, data: batch.targets },
  };
}

/** One float32 as a graph's input. */
export function floatFeed(value: number): Value {
  return { dtype: 'float32', shape: [], data: Float32Array.of(value) };
}

export function intFeed(value: number): Value {
  return { dtype: 'int32', shape: [], data: Int32Array.of(value) };
}
