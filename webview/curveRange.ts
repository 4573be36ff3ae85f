import type { Curve } from './curvePictures.js';
import type { Span } from './decimate.js';

/** From the first to the last point of all curves; `undefined` when there is none. */
export function fullSpan(curves: readonly Curve[]): Span | undefined {
  let from = Infinity;
  let to = -Infinity;
  for (const { x } of curves) {
    from = Math.min(from, x[0] ?? Infinity);
    to = Math.max(to, x[x.length - 1] ?? -Infinity);
  }
  if (from > to) return undefined;
  return from < to ? [from, to] : [from - 0.5, to + 0.5];
}

/** A span zoomed by `factor` (below 1 shows less) with `about` staying where it is, within `full`. */
export function zoomed([from, to]: Span, factor: number, about: number, full: Span): Span | undefined {
  const width = (to - from) * factor;
  if (width >= full[1] - full[0]) return undefined;
  const least = (full[1] - full[0]) * LEAST_SHARE;
  const kept = Math.max(width, least);
  const start = about - ((about - from) / (to - from)) * kept;
  return shiftedWithin([start, start + kept], 0, full);
}

/** So far can be zoomed in: to a millionth of the whole. */
const LEAST_SHARE = 1e-6;

/** A span moved by a share of its width, not beyond `full`. */
export function shiftedWithin([from, to]: Span, share: number, full: Span): Span {
  const width = to - from;
  const start = Math.max(full[0], Math.min(full[1] - width, from + share * width));
  return [start, start + width];
}
