import { followBlocks } from './decimate.js';
import type { Blocks } from './decimate.js';

/** Numbers that grow at their end without being copied each time. */
export interface Column {
  /** Room for more; only the first `length` count. */
  room: Float64Array;
  length: number;
  /** Extremes, kept up by {@link blocksOf}. */
  readonly blocks: Blocks;
}

/** An empty column. */
export function createColumn(): Column {
  return { room: new Float64Array(64), length: 0, blocks: { low: [], high: [], gap: [] } };
}

/** Adds a value at the end. */
export function push(column: Column, value: number): void {
  if (column.length === column.room.length) {
    const wider = new Float64Array(2 * column.room.length);
    wider.set(column.room);
    column.room = wider;
  }
  column.room[column.length] = value;
  column.length += 1;
}

/** Forgets all but the first `length` values. */
export function cut(column: Column, length: number): void {
  column.length = Math.min(column.length, length);
  followBlocks(column.blocks, column.room, column.length);
}

/** The values as they are now, not copied. */
export function valuesOf({ room, length }: Column): Float64Array {
  return room.subarray(0, length);
}

/** The extremes of the values as they are now; what grew since the last call is looked at. */
export function blocksOf({ room, length, blocks }: Column): Blocks {
  followBlocks(blocks, room, length);
  return blocks;
}

/** An exponential moving average that follows a column as it grows. */
export interface Smoothed {
  readonly memory: number;
  readonly column: Column;
  average: number;
  weight: number;
}

/** Starts an average with weight `memory` (0 to below 1) on the past. */
export function createSmoothed(memory: number): Smoothed {
  return { memory, column: createColumn(), average: 0, weight: 0 };
}

/**
 * Takes in what a column has beyond the average's own length. The average is divided by the weight seen so far, so
 * that the first values are not pulled to zero (Kingma & Ba, 2015, section 3). Gaps stay gaps.
 */
export function follow(smoothed: Smoothed, source: Column): void {
  const { memory, column } = smoothed;
  while (column.length < source.length) {
    const value = source.room[column.length] ?? NaN;
    if (!Number.isFinite(value)) {
      push(column, NaN);
      continue;
    }
    smoothed.average = memory * smoothed.average + (1 - memory) * value;
    smoothed.weight = memory * smoothed.weight + (1 - memory);
    push(column, smoothed.average / smoothed.weight);
  }
}
