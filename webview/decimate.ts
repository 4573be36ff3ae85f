/** Points of a line at full resolution: `x` ascending, same length as `y`; a `y` that is not finite is a gap. */
export interface Line {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
}

/** Points to draw; `null` breaks the line. */
export interface Points {
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
}

/** A stretch of an axis, from its lower to its upper end. */
export type Span = readonly [from: number, to: number];

/**
 * The points of a line that a picture of `columns` pixels needs to look as if all were drawn: of each column the
 * lowest, the highest and one gap, in their order, beside the first and the last point. Points left and right of
 * `span` are left out but for one on each side, so that the line runs out of the picture. With `positive`, values
 * that a logarithmic axis cannot show are gaps.
 */
export function decimate({ x, y }: Line, [from, to]: Span, columns: number, positive = false): Points {
  const start = Math.max(0, firstAtLeast(x, from) - 1);
  const end = Math.min(x.length, firstAbove(x, to) + 1);
  const kept: { readonly x: number[]; readonly y: (number | null)[] } = { x: [], y: [] };
  const shown = (value: number): boolean => Number.isFinite(value) && (!positive || value > 0);
  const keep = (index: number): void => {
    const value = y[index] ?? NaN;
    kept.x.push(x[index] ?? NaN);
    kept.y.push(shown(value) ? value : null);
  };
  if (end - start <= 2 * columns || !(to > from)) {
    for (let index = start; index < end; index += 1) keep(index);
    return kept;
  }

  let low = -1;
  let high = -1;
  let gap = -1;
  const flush = (): void => {
    const indices = [low, high, gap].filter((index) => index >= 0).sort((a, b) => a - b);
    indices.forEach((index, at) => {
      if (index !== indices[at - 1]) keep(index);
    });
    low = high = gap = -1;
  };
  const width = (to - from) / columns;
  let column = 0;
  let edge = from + width;
  keep(start);
  for (let index = start + 1; index < end - 1; index += 1) {
    const here = x[index] ?? NaN;
    if (here >= edge && column < columns - 1) {
      flush();
      column = Math.min(columns - 1, Math.max(column + 1, Math.floor((here - from) / width)));
      edge = from + (column + 1) * width;
    }
    const value = y[index] ?? NaN;
    if (!shown(value)) gap = index;
    else {
      if (low < 0 || value < (y[low] ?? NaN)) low = index;
      if (high < 0 || value > (y[high] ?? NaN)) high = index;
    }
  }
  flush();
  keep(end - 1);
  return kept;
}

/** Lines over one `x`: where a line has no point of its own its value is `undefined`, which breaks nothing. */
export interface Aligned {
  readonly x: number[];
  readonly ys: (number | null | undefined)[][];
}

/** Brings lines with different points onto one axis. Points of one line at the same `x` stay apart. */
export function align(lines: readonly Points[]): Aligned {
  const x: number[] = [];
  const ys: (number | null | undefined)[][] = lines.map(() => []);
  const next = lines.map(() => 0);
  for (;;) {
    let here = Infinity;
    for (let at = 0; at < lines.length; at += 1) here = Math.min(here, lines[at]?.x[next[at] ?? 0] ?? Infinity);
    if (here === Infinity) return { x, ys };
    x.push(here);
    for (let at = 0; at < lines.length; at += 1) {
      const index = next[at] ?? 0;
      const isHere = lines[at]?.x[index] === here;
      ys[at]?.push(isHere ? lines[at]?.y[index] : undefined);
      if (isHere) next[at] = index + 1;
    }
  }
}

/** Lowest and highest value of what is drawn within `span`; `undefined` when nothing is. */
export function extent(lines: readonly Points[], [from, to]: Span): Span | undefined {
  let low = Infinity;
  let high = -Infinity;
  for (const { x, y } of lines) {
    for (let index = 0; index < x.length; index += 1) {
      const here = x[index] ?? NaN;
      const value = y[index];
      if (value === null || value === undefined || here < from || here > to) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low > high ? undefined : [low, high];
}

/** Index of the first entry of an ascending list that is at least `wanted`; its length when none is. */
export function firstAtLeast(x: ArrayLike<number>, wanted: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first entry of an ascending list that is above `wanted`; its length when none is. */
export function firstAbove(x: ArrayLike<number>, wanted: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the entry of an ascending list that is nearest to `wanted`; -1 in an empty list. */
export function nearest(x: ArrayLike<number>, wanted: number): number {
  const after = firstAtLeast(x, wanted);
  if (after === x.length) return x.length - 1;
  const before = x[after - 1];
  return before !== undefined && wanted - before <= (x[after] ?? Infinity) - wanted ? after - 1 : after;
}
