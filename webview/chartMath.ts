/** Points of one curve: `x` ascending, same length as `y`; a `y` that is not finite is a gap. */
export interface Points {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/**
 * At most two points per bucket of equal width, its lowest and its highest in their order, so that no spike is
 * lost. Curves with at most two points per bucket come back as they are, without their gaps.
 */
export function thin({ x, y }: Points, buckets: number): Points {
  const thinX: number[] = [];
  const thinY: number[] = [];
  const add = (index: number): void => {
    thinX.push(x[index] ?? NaN);
    thinY.push(y[index] ?? NaN);
  };
  const first = x[0] ?? 0;
  const span = (x.at(-1) ?? 0) - first;
  const keepAll = x.length <= 2 * buckets || span <= 0;
  let low = -1;
  let high = -1;
  let bucket = 0;
  const flush = (): void => {
    if (low < 0) return;
    add(Math.min(low, high));
    if (low !== high) add(Math.max(low, high));
    low = high = -1;
  };
  for (let index = 0; index < x.length; index += 1) {
    const value = y[index] ?? NaN;
    if (!Number.isFinite(value)) continue;
    if (keepAll) {
      add(index);
      continue;
    }
    const here = Math.min(buckets - 1, Math.floor((((x[index] ?? first) - first) / span) * buckets));
    if (here !== bucket) flush();
    bucket = here;
    if (low < 0 || value < (y[low] ?? NaN)) low = index;
    if (high < 0 || value > (y[high] ?? NaN)) high = index;
  }
  flush();
  return { x: thinX, y: thinY };
}

/** Round values (1, 2 or 5 times a power of ten, of `unit`) that cover [low, high] with about `count` steps. */
export function niceTicks(low: number, high: number, count: number, unit = 1): number[] {
  const from = low / unit;
  const to = high / unit;
  const rough = Math.max((to - from) / Math.max(1, count), Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  if (!Number.isFinite(step) || step <= 0) return [low];
  const ticks: number[] = [];
  const last = Math.ceil(to / step - 1e-9);
  for (let index = Math.floor(from / step + 1e-9); index <= last; index += 1) ticks.push(index * step * unit);
  return ticks;
}

/** Lowest and highest finite value of several lists, widened when they are one; `undefined` when there is none. */
export function rangeOf(lists: readonly (readonly number[])[]): readonly [number, number] | undefined {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (!Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return undefined;
  if (low < high) return [low, high];
  const margin = Math.abs(low) * 0.1 || 1;
  return [low - margin, high + margin];
}

/** Index of the entry of an ascending list that is nearest to `wanted`; -1 in an empty list. */
export function nearestIndex(x: readonly number[], wanted: number): number {
  let low = 0;
  let high = x.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  const before = x[low - 1];
  return before !== undefined && wanted - before <= (x[low] ?? Infinity) - wanted ? low - 1 : low;
}
