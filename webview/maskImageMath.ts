/** A matrix of which some numbers train: their places, row-major, rising. */
export interface SparseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly indices: Uint32Array;
  /** What each has learned, in the order of the indices. */
  readonly values?: Float32Array;
}

/** A part of a matrix, in whole rows and columns. */
export interface Window {
  readonly top: number;
  readonly left: number;
  readonly rows: number;
  readonly columns: number;
}

/** A window as bins of one size; only the last ones of a row or column may be cut off by the window's end. */
export interface Bins {
  readonly window: Window;
  readonly across: number;
  readonly down: number;
  /** Rows of a bin, and columns. */
  readonly tall: number;
  readonly wide: number;
  /** How many numbers of each bin train, row-major. */
  readonly counts: Uint32Array;
  /** Σ |δ| of each bin, where the matrix has values. */
  readonly sizes: Float64Array | undefined;
  /** How many numbers of the window train. */
  readonly total: number;
}

export function wholeOf({ rows, columns }: SparseMatrix): Window {
  return { top: 0, left: 0, rows, columns };
}

/** Counts the window's trained numbers in at most so many bins; no bin is smaller than one number. */
export function binned(matrix: SparseMatrix, window: Window, mostAcross: number, mostDown: number): Bins {
  const wide = Math.ceil(window.columns / Math.max(1, mostAcross));
  const tall = Math.ceil(window.rows / Math.max(1, mostDown));
  const across = Math.ceil(window.columns / wide);
  const down = Math.ceil(window.rows / tall);
  const counts = new Uint32Array(across * down);
  const { values } = matrix;
  const sizes = values && new Float64Array(across * down);
  let total = 0;
  forEachIn(matrix, window, (row, column, at) => {
    const bin = Math.floor((row - window.top) / tall) * across + Math.floor((column - window.left) / wide);
    counts[bin]! += 1;
    if (sizes) sizes[bin]! += Math.abs(values?.[at] ?? 0);
    total += 1;
  });
  return { window, across, down, tall, wide, counts, sizes, total };
}

/** The part of the matrix that a bin holds. */
export function partOf({ window, tall, wide }: Bins, x: number, y: number): Window {
  return {
    top: window.top + y * tall,
    left: window.left + x * wide,
    rows: Math.min(tall, window.rows - y * tall),
    columns: Math.min(wide, window.columns - x * wide),
  };
}

/** What a bin is drawn as: the share of its numbers that train, or the mean |δ| of those that do (0 where none does). */
export type BinMeasure = 'share' | 'size';

export function measured(bins: Bins, measure: BinMeasure, x: number, y: number): number {
  const bin = y * bins.across + x;
  const count = bins.counts[bin]!;
  if (measure === 'size') return count === 0 ? 0 : (bins.sizes?.[bin] ?? 0) / count;
  const { rows, columns } = partOf(bins, x, y);
  return count / (rows * columns);
}

/** The largest of all bins. */
export function largestMeasured(bins: Bins, measure: BinMeasure): number {
  let largest = 0;
  for (let y = 0; y < bins.down; y += 1) {
    for (let x = 0; x < bins.across; x += 1) largest = Math.max(largest, measured(bins, measure, x, y));
  }
  return largest;
}

/** Calls back for each trained number of a window, in order, until it returns false. */
export function forEachIn(
  { rows, columns, indices }: SparseMatrix,
  window: Window,
  call: (row: number, column: number, at: number) => boolean | void,
): void {
  const lastRow = Math.min(rows, window.top + window.rows);
  const right = window.left + window.columns;
  const isWide = window.left <= 0 && right >= columns;
  for (let row = window.top, at = lowerBound(indices, row * columns); row < lastRow && at < indices.length;) {
    const place = indices[at]!;
    const here = Math.floor(place / columns);
    if (here >= lastRow) return;
    const column = place - here * columns;
    if (!isWide && column < window.left) {
      row = here;
      at = lowerBound(indices, here * columns + window.left);
    } else if (!isWide && column >= right) {
      row = here + 1;
      at = lowerBound(indices, row * columns + window.left);
    } else {
      if (call(here, column, at) === false) return;
      row = here;
      at += 1;
    }
  }
}

/** Where in the indices a place is; undefined: that number does not train. */
export function indexAt({ columns, indices }: SparseMatrix, row: number, column: number): number | undefined {
  const place = row * columns + column;
  const at = lowerBound(indices, place);
  return indices[at] === place ? at : undefined;
}

/** Position of the first index that is at least `place`. */
export function lowerBound(indices: Uint32Array, place: number): number {
  let low = 0;
  let high = indices.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (indices[middle]! < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Fewer rows or columns than this are not zoomed to: their numbers are large enough to be read. */
const FEWEST = 8;

/**
 * A window `factor` times smaller (larger below 1) in which the point stays where it is.
 * @param across where the point is, as a share of the window's width; `down` of its height
 */
export function zoomed(matrix: SparseMatrix, window: Window, factor: number, across = 0.5, down = 0.5): Window {
  const rows = clamp(Math.round(window.rows / factor), Math.min(FEWEST, matrix.rows), matrix.rows);
  const columns = clamp(Math.round(window.columns / factor), Math.min(FEWEST, matrix.columns), matrix.columns);
  return within(matrix, {
    top: Math.round(window.top + (window.rows - rows) * down),
    left: Math.round(window.left + (window.columns - columns) * across),
    rows,
    columns,
  });
}

/** A window moved by so many rows and columns, as far as the matrix goes. */
export function moved(matrix: SparseMatrix, window: Window, down: number, right: number): Window {
  return within(matrix, { ...window, top: window.top + down, left: window.left + right });
}

/** A window that has a place in it: the same, or one with the place in its middle. */
export function showing(matrix: SparseMatrix, window: Window, row: number, column: number): Window {
  const isIn =
    row >= window.top &&
    row < window.top + window.rows &&
    column >= window.left &&
    column < window.left + window.columns;
  if (isIn) return window;
  return within(matrix, {
    ...window,
    top: Math.round(row - window.rows / 2),
    left: Math.round(column - window.columns / 2),
  });
}

function within({ rows, columns }: SparseMatrix, window: Window): Window {
  return {
    ...window,
    top: clamp(window.top, 0, rows - window.rows),
    left: clamp(window.left, 0, columns - window.columns),
  };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
