import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { random, shuffle } from '../common/random.js';
import type { Batch, Example, ExamplePlace, SourceBatch } from './example.js';
import { firstFit } from './firstFit.js';
import { maskTokens, maskedCount } from './masking.js';
import type { Masked, Masking } from './masking.js';

export interface BatchOptions {
  /** Rows per batch. */
  readonly batchSize: number;
  readonly seed: number;
  /** From 0; each epoch has its own order. */
  readonly epoch: number;
  /** Put several examples into a row, up to `maxLength` tokens. */
  readonly packing: boolean;
  readonly maxLength: number;
}

/** The rows of one batch, each the indices of its examples (several only when packed). */
export type BatchPlan = readonly (readonly number[])[];

/** Batches among which lengths are matched: much padding saved, while every batch still mixes the data set. */
const WINDOW_BATCHES = 50;

/**
 * The batches of one epoch; every example is in exactly one. The same (seed, epoch) gives the same plan.
 *
 * Padded: examples are shuffled, sorted by length within windows of {@link WINDOW_BATCHES} batches and cut
 * into batches, whose order is shuffled. The smaller batch of leftovers is taken out before sorting, so that
 * its rows are a fair draw. Packed: shuffled examples are placed by first fit, then the rows are shuffled.
 */
export function planBatches(examples: readonly Example[], options: BatchOptions): BatchPlan[] {
  const { batchSize, packing, maxLength } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    fail({
      code: 'data.batch-size',
      message: l10n.t`the batch size is ${batchSize}`,
      expected: l10n.t`an integer from 1 on`,
    });
  }
  const rng = random(options.seed, 'batches', options.epoch);
  const order = shuffle([...examples.keys()], rng);
  const length = (index: number): number => rowLength(examples[index]!);
  if (packing) {
    const rows = firstFit(order.map(length), maxLength).map((row) => row.map((at) => order[at]!));
    return chunks(shuffle(rows, rng), batchSize);
  }
  const leftover = order.splice(order.length - (order.length % batchSize));
  const batches = chunks(order, batchSize * WINDOW_BATCHES).flatMap((window) =>
    chunks(
      window.sort((a, b) => length(b) - length(a)).map((index) => [index]),
      batchSize,
    ),
  );
  if (leftover.length > 0) batches.push(leftover.map((index) => [index]));
  return shuffle(batches, rng);
}

/** Tokens that an example takes in a row; an encoder-decoder has a row on either side, as long as each other. */
export function rowLength({ ids, source }: Example): number {
  return Math.max(ids.length, source?.length ?? 0);
}

/** How many predictions an example teaches. The first token of a row is never predicted from those before it. */
export function predictionCount(example: Example, masking?: Masking): number {
  if (example.label !== undefined) return 1;
  if (masking !== undefined) return maskedCount(example);
  return example.supervised.slice(1).filter((counts) => counts === 1).length;
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/**
 * The tensors of a batch, [rows, length] with the longest row's length. In each row the examples are segments
 * 1, 2, …, with positions from 0; the rest is padding (segment 0, id 0). The predictor of token t is position
 * t − 1 of the same segment, so the first token of a segment is never a target. The predictor of a class is the first
 * token, that of a masked token its own place.
 *
 * @param masked of all rows, or of each example by itself; absent: nothing is masked
 */
export function makeBatch(
  examples: readonly Example[],
  plan: BatchPlan,
  masked?: Masked | ((example: number) => Masked),
): Batch {
  const rows = plan.map((row) => row.map((index) => examples[index]!));
  const length = Math.max(0, ...rows.map((row) => row.reduce((sum, example) => sum + example.ids.length, 0)));
  const inputIds = new Int32Array(rows.length * length);
  const positions = new Int32Array(rows.length * length);
  const segments = new Int32Array(rows.length * length);
  const types = new Int32Array(rows.length * length);
  const tasks = new Int32Array(rows.length * length);
  const predictors: number[] = [];
  const targets: number[] = [];
  const places: ExamplePlace[] = [];
  for (const [r, row] of rows.entries()) {
    let start = r * length;
    for (const [s, example] of row.entries()) {
      const own = typeof masked === 'function' ? masked(plan[r]![s]!) : masked;
      const hidden = own === undefined ? undefined : maskTokens(example, own);
      for (const place of hidden?.places ?? []) {
        predictors.push(start + place);
        targets.push(example.ids[place]!);
      }
      for (const [t, id] of (hidden?.ids ?? example.ids).entries()) {
        inputIds[start + t] = id;
        positions[start + t] = t;
        segments[start + t] = s + 1;
        if (hidden === undefined && t > 0 && example.supervised[t] === 1) {
          predictors.push(start + t - 1);
          targets.push(id);
        }
      }
      if (example.types !== undefined) types.set(example.types, start);
      if (example.label !== undefined) {
        predictors.push(start);
        targets.push(example.label);
      }
      tasks.fill(example.task ?? 0, start, start + example.ids.length);
      places.push({ example: plan[r]![s]!, start });
      start += example.ids.length;
    }
  }
  const source = sourceBatch(rows);
  return {
    ...(source === undefined ? {} : { source }),
    rows: rows.length,
    length,
    inputIds,
    positions,
    segments,
    types,
    tasks,
    predictors: Int32Array.from(predictors),
    targets: Int32Array.from(targets),
    examples: places.length,
    places,
  };
}

/** The encoder's side of a batch; undefined where its examples have none. */
function sourceBatch(rows: readonly (readonly Example[])[]): SourceBatch | undefined {
  const sources = rows.map((row) => row.map(({ source = [], task = 0 }) => ({ source, task })));
  const length = Math.max(0, ...sources.map((row) => row.reduce((sum, { source }) => sum + source.length, 0)));
  if (length === 0) return undefined;
  const ids = new Int32Array(rows.length * length);
  const segments = new Int32Array(rows.length * length);
  const tasks = new Int32Array(rows.length * length);
  for (const [r, row] of sources.entries()) {
    let start = r * length;
    for (const [s, { source, task }] of row.entries()) {
      ids.set(source, start);
      segments.fill(s + 1, start, start + source.length);
      tasks.fill(task, start, start + source.length);
      start += source.length;
    }
  }
  return { length, ids, segments, tasks };
}
