import type { LanguageModel } from '../models/architecture.js';
import { createScope } from '../models/scope.js';
import type { Hooks } from '../models/site.js';
import type { Value } from '../runtime/runtime.js';
import { dim } from '../tensor/dims.js';
import type { Tensor } from '../tensor/tensor.js';
import { input } from '../tensor/tensor.js';
import { cacheLayers } from './cache.js';
import type { Tokens } from './tokens.js';

/**
 * The graph of an encoder-decoder's encoder, which runs once for a text.
 *
 * Inputs: `source_ids`, `source_segments`, `source_tasks` int32 [batch, source]. Outputs: `source_keys.LAYER`, `source_values.LAYER`
 * [batch, cacheHeads, source, headSize], what cross-attention sees. Undefined for models without an encoder.
 */
export function sourceGraph(
  model: LanguageModel,
  hooks: readonly Hooks[],
  positionLimit: number,
): Record<string, Tensor> | undefined {
  const shape = [dim('batch'), dim('source')];
  const scope = createScope(model.sites, hooks, {
    dropoutSeed: undefined,
    sourceTasks: input('source_tasks', 'int32', shape),
  });
  const encoded = model.encoder?.encode(scope, {
    inputIds: input('source_ids', 'int32', shape),
    segments: input('source_segments', 'int32', shape),
    positionLimit,
  });
  if (encoded === undefined) return undefined;
  return Object.fromEntries(
    cacheLayers(model).flatMap((layer) => [
      [`source_keys.${layer}`, encoded.keys[layer]!],
      [`source_values.${layer}`, encoded.values[layer]!],
    ]),
  );
}

/**
 * Tokens as the inputs of {@link sourceGraph}.
 * @param tasks of each row
 */
export function sourceFeeds(
  { rows, sequence, ids, segments }: Tokens,
  tasks: readonly number[],
): Record<string, Value> {
  const shape = [rows, sequence];
  const taskOf = Int32Array.from(ids, (_, at) => tasks[Math.floor(at / sequence)]!);
  return {
    source_ids: { dtype: 'int32', shape, data: ids },
    source_segments: { dtype: 'int32', shape, data: segments },
    source_tasks: { dtype: 'int32', shape, data: taskOf },
  };
}

/** What a decoder reads of encoded texts at every run. */
export interface Source {
  /** `source_keys.LAYER`, `source_values.LAYER` and `source_segments` [rows, source]. */
  feeds(): Record<string, Value>;
  /** Drops all rows but these (ascending). */
  keepRows(rows: readonly number[]): void;
}

/**
 * @param results of {@link sourceGraph}
 * @param tokens that the encoder read
 */
export function createSource(results: Readonly<Record<string, Value>>, tokens: Tokens): Source {
  let feeds: Record<string, Value> = {
    ...results,
    source_segments: { dtype: 'int32', shape: [tokens.rows, tokens.sequence], data: tokens.segments },
  };
  return {
    feeds: () => feeds,
    keepRows(rows) {
      feeds = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, rowsOf(value, rows)]));
    },
  };
}

function rowsOf(value: Value, rows: readonly number[]): Value {
  const [all, ...rest] = value.shape as [number, ...number[]];
  if (rows.length === all) return value;
  const size = rest.reduce((product, length) => product * length, 1);
  const data = value.data.slice(0, rows.length * size);
  rows.forEach((from, to) => {
    for (let at = 0; at < size; at++) data[to * size + at] = value.data[from * size + at]!;
  });
  return { ...value, shape: [rows.length, ...rest], data };
}
