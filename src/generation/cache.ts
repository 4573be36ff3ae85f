import type { LanguageModel } from '../models/architecture.js';
import type { Value } from '../runtime/runtime.js';

/**
 * Keys, values and segments of all tokens so far. Keys and values lie in two sets of buffers: a run reads one set
 * and writes the other, longer by the new tokens. Buffers grow by whole blocks, so most runs allocate nothing.
 */
export interface KeyValueCache {
  /**
   * What a run reads: `past_keys.LAYER`, `past_values.LAYER` [rows, cacheHeads, past, headSize] and
   * `past_segments` [rows, past].
   */
  feeds(): Record<string, Value>;
  /**
   * What a run of `sequence` new tokens per row writes: `keys.LAYER`, `values.LAYER` [rows, cacheHeads,
   * past + sequence, headSize].
   */
  targets(sequence: number): Record<string, Value>;
  /**
   * Makes what was written what is read next.
   * @param segments of the new tokens, [rows, sequence]
   */
  advance(segments: Int32Array): void;
  /** Drops all rows but these (ascending), in place. */
  keepRows(rows: readonly number[]): void;
  /** Drops all tokens of each row but the first so many, in place. */
  keepFirst(length: number): void;
}

/** Tokens by which buffers grow: fewer means more copies of the cache in garbage, more means idle memory. */
const BLOCK = 128;

/** Numbers of a cache that so many tokens of a row were written to at once. */
export function cachedNumbers(model: LanguageModel, tokens: number): number {
  const perToken = cacheNames(model).length * model.cacheHeads * model.headSize;
  return perToken * Math.ceil(tokens / BLOCK) * BLOCK;
}

/** An empty cache for `rows` rows. */
export function createCache(model: LanguageModel, rows: number): KeyValueCache {
  const names = cacheNames(model);
  const empty = (): Map<string, Float32Array> => new Map(names.map((name) => [name, new Float32Array(0)]));
  let [current, next] = [empty(), empty()];
  let past = 0;
  let cached: Int32Array = new Int32Array(0);
  const perToken = model.cacheHeads * model.headSize;
  const value = (buffer: Float32Array, length: number): Value => ({
    dtype: 'float32',
    shape: [rows, model.cacheHeads, length, model.headSize],
    data: buffer.subarray(0, rows * perToken * length),
  });
  return {
    feeds: () => ({
      ...Object.fromEntries(names.map((name) => [`past_${name}`, value(current.get(name)!, past)])),
      past_segments: { dtype: 'int32', shape: [rows, past], data: cached },
    }),
    targets(sequence) {
      const total = past + sequence;
      for (const name of names) {
        if (next.get(name)!.length >= rows * perToken * total) continue;
        next.set(name, new Float32Array(rows * perToken * Math.ceil(total / BLOCK) * BLOCK));
      }
      return Object.fromEntries(names.map((name) => [name, value(next.get(name)!, total)]));
    },
    advance(segments) {
      [current, next] = [next, current];
      cached = appendColumns(cached, segments, rows);
      past = cached.length / rows;
    },
    keepRows(kept) {
      if (kept.length === rows) return;
      const size = perToken * past;
      for (const buffer of current.values()) {
        kept.forEach((from, to) => buffer.copyWithin(to * size, from * size, (from + 1) * size));
      }
      cached = pickRows(cached, kept, past);
      rows = kept.length;
    },
    keepFirst(length) {
      if (length >= past) return;
      const { cacheHeads, headSize } = model;
      for (const buffer of current.values()) {
        for (let head = 0; head < rows * cacheHeads; head++) {
          const from = head * past * headSize;
          buffer.copyWithin(head * length * headSize, from, from + length * headSize);
        }
      }
      cached = cached.filter((_, at) => at % past < length);
      past = length;
    },
  };
}

/** Numbers of the layers that keep keys and values. */
export function cacheLayers(model: LanguageModel): number[] {
  return Array.from({ length: model.cacheLayers ?? model.layers }, (_, layer) => layer);
}

/** `keys.0`, `values.0`, `keys.1`, … */
function cacheNames(model: LanguageModel): string[] {
  return cacheLayers(model).flatMap((layer) => [`keys.${layer}`, `values.${layer}`]);
}

/** [rows, a] and [rows, b] → [rows, a + b] */
function appendColumns(left: Int32Array, right: Int32Array, rows: number): Int32Array {
  const [a, b] = [left.length / rows, right.length / rows];
  const joined = new Int32Array(left.length + right.length);
  for (let row = 0; row < rows; row++) {
    joined.set(left.subarray(row * a, (row + 1) * a), row * (a + b));
    joined.set(right.subarray(row * b, (row + 1) * b), row * (a + b) + a);
  }
  return joined;
}

function pickRows(table: Int32Array, rows: readonly number[], width: number): Int32Array {
  const picked = new Int32Array(rows.length * width);
  rows.forEach((row, at) => picked.set(table.subarray(row * width, (row + 1) * width), at * width));
  return picked;
}
