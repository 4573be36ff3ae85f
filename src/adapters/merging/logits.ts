import type { Attached, Values } from '../../methods/method.js';
import { trainedFeeds } from '../../methods/trainedFeeds.js';
import type { LanguageModel } from '../../models/architecture.js';
import { createScope } from '../../models/scope.js';
import { virtualTokenCount, virtualTokenIds } from '../../models/virtualTokens.js';
import type { Runtime, Value, WeightFiles } from '../../runtime/runtime.js';
import { gatherRows } from '../../tensor/ops/indexing.js';
import { reshape } from '../../tensor/ops/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { input } from '../../tensor/tensor.js';

/** Rows to read with a model and the methods on it. */
export interface LogitsOf {
  readonly model: LanguageModel;
  readonly methods: readonly Pick<Attached, 'hooks' | 'trainables'>[];
  /** Of equal length. */
  readonly rows: readonly (readonly number[])[];
  /** Encoder-decoders: what the encoder reads for each row, of equal length; absent: the rows once more. */
  readonly sources?: readonly (readonly number[])[];
  /** The task of each row; absent: the first one. */
  readonly tasks?: readonly number[];
}

/** A graph that gives the logits of just these rows, and what its inputs are fed. */
export interface LogitsGraph {
  /** [rows · length, vocabulary] or [rows, classes] */
  readonly logits: Tensor;
  readonly feeds: Readonly<Record<string, Value>>;
}

/**
 * Logits at every position of rows of equal length. The methods' virtual tokens are put before each row; they have no
 * place in the result. Of a model that tells classes apart, the scores of each row's class.
 * @returns [rows, length, vocabulary] or [rows, classes], row-major
 */
export async function allLogits(
  setup: LogitsOf & { readonly values: Values; readonly weights: WeightFiles; readonly runtime: Runtime },
): Promise<Float32Array> {
  const graph = logitsGraph(setup);
  const program = await setup.runtime.compile({ logits: graph.logits }, setup.weights);
  try {
    const trained = trainedFeeds(setup.methods, setup.values, program.reads);
    const { logits } = await program.run({ ...graph.feeds, ...trained });
    return logits!.data as Float32Array;
  } finally {
    await program.dispose();
  }
}

/** What {@link allLogits} computes. */
export function logitsGraph(setup: LogitsOf): LogitsGraph {
  const { model, methods } = setup;
  const hooks = methods.map((method) => method.hooks);
  const taskOf = (row: number): number => setup.tasks?.[row] ?? 0;
  const prefixOf = (row: number): number[] => virtualTokenIds(hooks, model.vocabSize, taskOf(row));
  // Virtual tokens stand before what is read first.
  const inFront = model.encoder === undefined ? virtualTokenCount(hooks) : 0;
  const rows = setup.rows.map((row, at) => (inFront === 0 ? row : [...prefixOf(at), ...row]));
  const sources = (setup.sources ?? setup.rows).map((row, at) => [...prefixOf(at), ...row]);
  const length = rows[0]!.length;
  const tokens = [rows.length, length];
  const sourceShape = [sources.length, sources[0]!.length];
  const scope = createScope(model.sites, hooks, {
    dropoutSeed: undefined,
    tasks: input('tasks', 'int32', tokens),
    sourceTasks: input('source_tasks', 'int32', sourceShape),
  });
  const source = model.encoder?.encode(scope, {
    inputIds: input('source_ids', 'int32', sourceShape),
    segments: input('source_segments', 'int32', sourceShape),
    positionLimit: sources[0]!.length,
  });
  const { hidden } = model.decode(scope, {
    ...(source === undefined ? {} : { source }),
    inputIds: input('input_ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments: input('segments', 'int32', tokens),
    positionLimit: length,
  });
  const flat = reshape(hidden, [rows.length * length, model.hiddenSize]);
  const kept = rows.flatMap((row, at) => {
    if (model.classes !== undefined) return [at * length];
    return row.flatMap((_, column) => (column < inFront ? [] : at * length + column));
  });
  const wanted = gatherRows(flat, input('kept', 'int32', [kept.length]));
  const whole = (value: (column: number, row: number) => number, like = rows): Value => ({
    dtype: 'int32',
    shape: [like.length, like[0]!.length],
    data: Int32Array.from(like.flatMap((row, at) => row.map((_, column) => value(column, at)))),
  });
  return {
    logits: model.head(scope, wanted),
    feeds: {
      input_ids: whole((column, row) => rows[row]![column]!),
      positions: whole((column) => column),
      segments: whole(() => 1),
      tasks: whole((_, row) => taskOf(row)),
      source_ids: whole((column, row) => sources[row]![column]!, sources),
      source_segments: whole(() => 1, sources),
      source_tasks: whole((_, row) => taskOf(row), sources),
      kept: { dtype: 'int32', shape: [kept.length], data: Int32Array.from(kept) },
    },
  };
}
