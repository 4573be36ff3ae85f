/** Points of a line at full resolution: `x` ascending, same length as `y`; a `y` that is not finite is a gap. */
export interface Line {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  /** Of long lines, so that not every point has to be looked at. */
  readonly blocks?: Blocks;
}

/** Points in a block: few enough to look at each where a block ends within a column. */
export const BLOCK = 16;

/** Where each whole block of {@link BLOCK} values has its lowest, its highest and a gap; -1 where it has none. */
export interface Blocks {
  readonly low: number[];
  readonly high: number[];
  readonly gap: number[];
}

/** Brings blocks up to `length` values; blocks that begin later are forgotten. */
export function followBlocks({ low, high, gap }: Blocks, y: ArrayLike<number>, length: number): void {
  const count = Math.floor(length / BLOCK);
  for (const list of [low, high, gap]) list.length = Math.min(list.length, count);
  for (let block = low.length; block < count; block += 1) {
    let lowest = -1;
    let highest = -1;
    let missing = -1;
    for (let index = block * BLOCK; index < (block + 1) * BLOCK; index += 1) {
      const value = y[index] ?? NaN;
      if (!Number.isFinite(value)) missing = index;
      else {
        if (lowest < 0 || value < (y[lowest] ?? NaN)) lowest = index;
        if (highest < 0 || value > (y[highest] ?? NaN)) highest = index;
      }
    }
    low.push(lowest);
    high.push(highest);
    gap.push(missing);
  }
}

/** Where a line is lowest and where it is highest, at the first of such places; -1 where it has no value. */
export function extremes({ y, blocks }: Pick<Line, 'y' | 'blocks'>): {
  readonly lowest: number;
  readonly highest: number;
} {
  let lowest = -1;
  let highest = -1;
  const look = (low: number, high: number): void => {
    const [bottom, top] = [y[low] ?? NaN, y[high] ?? NaN];
    if (Number.isFinite(bottom) && !(bottom >= (y[lowest] ?? Infinity))) lowest = low;
    if (Number.isFinite(top) && !(top <= (y[highest] ?? -Infinity))) highest = high;
  };
  const whole = blocks === undefined ? 0 : Math.min(blocks.low.length, Math.floor(y.length / BLOCK));
  for (let block = 0; block < whole; block += 1) look(blocks?.low[block] ?? -1, blocks?.high[block] ?? -1);
  for (let index = whole * BLOCK; index < y.length; index += 1) look(index, index);
  return { lowest, highest };
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
 * that a logarithmic axis cannot show are gaps. A line with few points comes back as it is; of others the points are
 * moved within their column to places that all lines share, so that many lines together need no more places than one.
 */
export function decimate({ x, y, blocks }: Line, [from, to]: Span, columns: number, positive = false): Points {
  const start = Math.max(0, firstAtLeast(x, from) - 1);
  const end = Math.min(x.length, firstAbove(x, to) + 1);
  const kept: { readonly x: number[]; readonly y: (number | null)[] } = { x: [], y: [] };
  const least = positive ? Number.MIN_VALUE : -Number.MAX_VALUE;
  let count = 0;
  // By index: the toolkit watches arrays by a `push` of its own, which is slow.
  const keep = (at: number, index: number): void => {
    const value = y[index] ?? NaN;
    kept.x[count] = at;
    kept.y[count] = value >= least && value <= Number.MAX_VALUE ? value : null;
    count += 1;
  };
  if (end - start <= 2 * columns || !(to > from)) {
    for (let index = start; index < end; index += 1) keep(x[index] ?? NaN, index);
    return kept;
  }

  const width = (to - from) / columns;
  const inside = [firstAtLeast(x, from), firstAbove(x, to)] as const;
  if (start < inside[0]) keep(x[start] ?? NaN, start);
  let index = inside[0];
  while (index < inside[1]) {
    const column = Math.min(columns - 1, Math.floor(((x[index] ?? NaN) - from) / width));
    const left = from + column * width;
    const right = column === columns - 1 ? Infinity : left + width;
    let low = -1;
    let high = -1;
    let gap = -1;
    let lowest = Infinity;
    let highest = -Infinity;
    const first = index;
    do {
      // Only where a block begins: an index between two entries would be looked up as a name.
      const block = index % BLOCK === 0 ? index / BLOCK : -1;
      const lowOfBlock = block >= 0 ? blocks?.low[block] : undefined;
      if (lowOfBlock !== undefined && index + BLOCK <= inside[1] && (x[index + BLOCK - 1] ?? NaN) < right) {
        const highOfBlock = blocks?.high[block] ?? -1;
        const gapOfBlock = blocks?.gap[block] ?? -1;
        const bottom = y[lowOfBlock] ?? Infinity;
        const top = y[highOfBlock] ?? -Infinity;
        // Where a logarithmic axis cannot show the lowest, the lowest that it can show is looked for below.
        if (bottom >= least) {
          if (bottom < lowest) {
            low = lowOfBlock;
            lowest = bottom;
          }
          if (top > highest) {
            high = highOfBlock;
            highest = top;
          }
          if (gapOfBlock >= 0) gap = gapOfBlock;
          index += BLOCK;
          continue;
        }
      }
      const value = y[index] ?? NaN;
      if (value >= least && value <= Number.MAX_VALUE) {
        if (value < lowest) {
          low = index;
          lowest = value;
        }
        if (value > highest) {
          high = index;
          highest = value;
        }
      } else gap = index;
      index += 1;
    } while (index < inside[1] && (x[index] ?? NaN) < right);
    const holdsEnd = first === inside[0] || index === inside[1];
    if (gap < 0 && !holdsEnd) {
      keep(left + width * PLACES[0], Math.min(low, high));
      if (low !== high) keep(left + width * PLACES[1], Math.max(low, high));
      continue;
    }
    const ends = [first === inside[0] ? first : -1, index === inside[1] ? index - 1 : -1];
    const kinds = new Set([low, high, gap, ...ends].filter((each) => each >= 0));
    // The first and the last point stay where they are, and with them their columns.
    [...kinds]
      .sort((a, b) => a - b)
      .forEach((each, place) => keep(holdsEnd ? (x[each] ?? NaN) : left + width * (PLACES[place] ?? 0), each));
  }
  if (inside[1] < end) keep(x[inside[1]] ?? NaN, inside[1]);
  return kept;
}

/** Where the points of a column are put, as shares of its width. */
const PLACES = [1 / 8, 3 / 8, 5 / 8] as const;

/** Lines over one `x`: where a line has no point of its own its value is `undefined`, which breaks nothing. */
export interface Aligned {
  readonly x: number[];
  readonly ys: (number | null | undefined)[][];
}

/** Brings lines with different points onto one axis. Points of one line at the same `x` stay apart. */
export function align(lines: readonly Points[]): Aligned {
  const x: number[] = [];
  const ys: (number | null | undefined)[][] = lines.map(() => []);
  const next = new Int32Array(lines.length);
  /** Where each line goes on; Infinity at its end. */
  const heads = Float64Array.from(lines, (line) => line.x[0] ?? Infinity);
  for (let place = 0; ; place += 1) {
    let here = Infinity;
    for (let at = 0; at < heads.length; at += 1) if (heads[at]! < here) here = heads[at]!;
    if (here === Infinity) return { x, ys };
    x[place] = here;
    for (let at = 0; at < heads.length; at += 1) {
      const column = ys[at]!;
      if (heads[at] !== here) {
        column[place] = undefined;
        continue;
      }
      const line = lines[at]!;
      const index = next[at]!;
      column[place] = line.y[index];
      next[at] = index + 1;
      heads[at] = line.x[index + 1] ?? Infinity;
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
