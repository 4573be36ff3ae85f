import type { Value } from '../runtime/runtime.js';

/** What goes into one run, [rows, sequence] row-major. */
export interface Tokens {
  readonly rows: number;
  readonly sequence: number;
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** 0 = padding */
  readonly segments: Int32Array;
}

/**
 * Prompts as one block, the shorter ones padded in front: so all rows end in the last column, and the distance of
 * two columns is that of their positions, which a sliding window counts.
 */
export function promptTokens(prompts: readonly (readonly number[])[]): Tokens {
  const rows = prompts.length;
  const sequence = Math.max(...prompts.map((prompt) => prompt.length));
  const fill = (value: (row: number, position: number) => number): Int32Array =>
    Int32Array.from({ length: rows * sequence }, (_, at) => {
      const row = Math.floor(at / sequence);
      const position = (at % sequence) - (sequence - prompts[row]!.length);
      return position < 0 ? 0 : value(row, position);
    });
  return {
    rows,
    sequence,
    ids: fill((row, position) => prompts[row]![position]!),
    positions: fill((_, position) => position),
    segments: fill(() => 1),
  };
}

/**
 * One token per row behind what is cached.
 * @param positions of the tokens
 */
export function nextTokens(ids: readonly number[], positions: readonly number[]): Tokens {
  return {
    rows: ids.length,
    sequence: 1,
    ids: Int32Array.from(ids),
    positions: Int32Array.from(positions),
    segments: new Int32Array(ids.length).fill(1),
  };
}

/**
 * The tokens of a single row behind what is cached.
 * @param from position of the first of them
 */
export function rowTokens(ids: readonly number[], from: number): Tokens {
  return {
    rows: 1,
    sequence: ids.length,
    ids: Int32Array.from(ids),
    positions: Int32Array.from(ids, (_, at) => from + at),
    segments: new Int32Array(ids.length).fill(1),
  };
}

/** Tokens whose positions are `by` further on, behind what stands in front of the text. */
export function shifted(tokens: Tokens, by: number): Tokens {
  return by === 0 ? tokens : { ...tokens, positions: tokens.positions.map((position) => position + by) };
}

/**
 * The first tokens of texts with a prefix before each, behind its padding; positions start with the prefix.
 * @param prefixes of each row, of one length
 */
export function withPrefixes(tokens: Tokens, prefixes: readonly (readonly number[])[]): Tokens {
  const count = prefixes[0]?.length ?? 0;
  if (count === 0) return tokens;
  const { rows, sequence, ids, segments } = tokens;
  const longer = sequence + count;
  const extended: Tokens = {
    rows,
    sequence: longer,
    ids: new Int32Array(rows * longer),
    positions: new Int32Array(rows * longer),
    segments: new Int32Array(rows * longer),
  };
  for (let row = 0; row < rows; row++) {
    const from = row * sequence;
    const padding = segments.subarray(from, from + sequence).findIndex((segment) => segment !== 0);
    const text = from + padding;
    const start = row * longer + padding;
    const behind = start + count;
    extended.ids.set(prefixes[row]!, start);
    extended.ids.set(ids.subarray(text, from + sequence), behind);
    extended.segments.fill(segments[text]!, start, behind);
    extended.segments.set(segments.subarray(text, from + sequence), behind);
    for (let at = start; at < (row + 1) * longer; at++) extended.positions[at] = at - start;
  }
  return extended;
}

/** The tokens of the first columns, and those behind them. */
export function splitTokens(tokens: Tokens, columns: number): [Tokens, Tokens] {
  const { rows, sequence } = tokens;
  const part = (from: number, to: number): Tokens => {
    const cut = (table: Int32Array): Int32Array =>
      Int32Array.from({ length: rows * (to - from) }, (_, at) => {
        const row = Math.floor(at / (to - from));
        return table[row * sequence + from + (at % (to - from))]!;
      });
    const [ids, positions, segments] = [cut(tokens.ids), cut(tokens.positions), cut(tokens.segments)];
    return { rows, sequence: to - from, ids, positions, segments };
  };
  return [part(0, columns), part(columns, sequence)];
}

/** Tokens without padding, `first` before those of each row. */
export function behindToken({ rows, sequence, ids }: Tokens, first: number): Tokens {
  const longer = sequence + 1;
  const all = new Int32Array(rows * longer).fill(first);
  for (let row = 0; row < rows; row++) {
    all.set(ids.subarray(row * sequence, (row + 1) * sequence), row * longer + 1);
  }
  return {
    rows,
    sequence: longer,
    ids: all,
    positions: new Int32Array(all.length),
    segments: new Int32Array(all.length).fill(1),
  };
}

/** The same tokens at positions `from`, `from` + 1, … of every row. */
export function numbered(tokens: Tokens, from: number): Tokens {
  return { ...tokens, positions: tokens.positions.map((_, at) => from + (at % tokens.sequence)) };
}

/**
 * Tokens as the graph's inputs.
 * @param tasks of each row
 * @param predictors how many of the last positions of each row predict a token that is wanted
 */
export function tokenFeeds(tokens: Tokens, tasks: readonly number[], predictors: number): Record<string, Value> {
  const { rows, sequence, ids, positions, segments } = tokens;
  const shape = [rows, sequence];
  return {
    input_ids: int32(ids, shape),
    positions: int32(positions, shape),
    segments: int32(segments, shape),
    tasks: int32(
      Int32Array.from(ids, (_, at) => tasks[Math.floor(at / sequence)]!),
      shape,
    ),
    predictors: int32(
      Int32Array.from({ length: rows * predictors }, (_, at) => {
        const row = Math.floor(at / predictors);
        return (row + 1) * sequence - predictors + (at % predictors);
      }),
      [rows * predictors],
    ),
  };
}

function int32(data: Int32Array, shape: readonly number[]): Value {
  return { dtype: 'int32', shape, data };
}
