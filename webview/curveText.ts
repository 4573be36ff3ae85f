import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import type { PlotAxis } from './curveColumns.js';
import type { Curve, Picture } from './curvePictures.js';
import { placeText } from './curveTicks.js';
import { extremes, firstAbove, firstAtLeast, nearest } from './decimate.js';
import type { Span } from './decimate.js';
import { csvText } from './siteHistory.js';

/** A row of the table of a picture: where, and the curves' values there. */
export interface TableRow {
  readonly x: number;
  /** `undefined` where a curve has no point. */
  readonly values: readonly (number | undefined)[];
}

/** The points of curves within a span, one row per place that has any, in order. */
export function tableRows(curves: readonly Curve[], [from, to]: Span): TableRow[] {
  const next = curves.map(({ x }) => firstAtLeast(x, from));
  const end = curves.map(({ x }) => firstAbove(x, to));
  const rows: TableRow[] = [];
  for (;;) {
    let here = Infinity;
    curves.forEach(({ x }, at) => {
      if ((next[at] ?? 0) < (end[at] ?? 0)) here = Math.min(here, x[next[at] ?? 0] ?? Infinity);
    });
    if (here === Infinity) return rows;
    const values = curves.map(({ x, y }, at) => {
      const index = next[at] ?? 0;
      if (index >= (end[at] ?? 0) || x[index] !== here) return undefined;
      next[at] = index + 1;
      return y[index];
    });
    rows.push({ x: here, values });
  }
}

const UNITS: Readonly<Record<PlotAxis, string>> = {
  step: 'step',
  time: 'seconds',
  tokens: 'tokens',
  trial: 'trial',
};

/** Curves within a span as CSV (RFC 4180) at full resolution; its head is the same in every language. */
export function curvesCsv(curves: readonly Curve[], axis: PlotAxis, span: Span): string {
  const head = [UNITS[axis], ...curves.map(({ column }) => csvText(column))];
  const lines = tableRows(curves, span).map(({ x, values }) =>
    [x, ...values.map((value) => (value === undefined || Number.isNaN(value) ? '' : value))].join(','),
  );
  return [head.join(','), ...lines, ''].join('\r\n');
}

/** The value of a curve at a place, or the nearest one it has; `undefined` for an empty curve. */
export function valueNear({ x, y }: Curve, at: number): { readonly x: number; readonly y: number } | undefined {
  const index = nearest(x, at);
  const place = x[index];
  return place === undefined ? undefined : { x: place, y: y[index] ?? NaN };
}

/** What stands beside a curve's name while something points at `at`: its value there, and where that is if elsewhere. */
export function readAt(curve: Curve, at: number, { format }: Picture, axis: PlotAxis): string {
  const found = valueNear(curve, at);
  if (found === undefined) return '';
  const value = Number.isFinite(found.y) ? format(found.y) : l10n.t`no value`;
  return curve.look === 'dots' && found.x !== at ? l10n.t`${value} (${placeText(axis, found.x)})` : value;
}

/** A picture in words, for those who do not see it: of each curve its last value, its lowest, and where it goes. */
export function describePicture(
  { title, about, format }: Picture,
  curves: readonly Curve[],
  axis: PlotAxis,
): string {
  const parts = curves.filter(({ look }) => look !== 'faint').map((curve) => describeCurve(curve, format, axis));
  return parts.reduce((text, part) => l10n.t`${text}. ${part}`, l10n.t`${title}: ${about}`);
}

function describeCurve(curve: Curve, format: (value: number) => string, axis: PlotAxis): string {
  const { name, x, y } = curve;
  const { lowest, highest } = extremes(curve);
  let first = 0;
  while (first < y.length && !Number.isFinite(y[first])) first += 1;
  let last = y.length - 1;
  while (last >= 0 && !Number.isFinite(y[last])) last -= 1;
  if (last < 0) return l10n.t`${name}: no values`;
  const told = (index: number): string =>
    l10n.t`${format(y[index] ?? NaN)} at ${placeText(axis, x[index] ?? NaN)}`;
  if (first === last) return l10n.t`${name}: ${told(last)}`;
  return l10n.t`${name}: ${formatCount(x.length)} points, last ${told(last)}, lowest ${told(lowest)}, highest ${told(highest)}, ${trend(y, last)}`;
}

/** Share of a curve at its end that its trend is seen from. */
const RECENT_SHARE = 0.1;
/** A change of less than this share of the values counts as none. */
const STEADY = 0.01;

/** Whether the last tenth of a curve lies below or above the tenth before it. */
function trend(y: ArrayLike<number>, last: number): string {
  const count = Math.max(1, Math.floor((last + 1) * RECENT_SHARE));
  const late = meanOf(y, last + 1 - count, last + 1);
  const before = meanOf(y, Math.max(0, last + 1 - 2 * count), last + 1 - count);
  const change = late - before;
  if (!Number.isFinite(change) || Math.abs(change) <= STEADY * Math.abs(before)) return l10n.t`lately steady`;
  return change < 0 ? l10n.t`lately falling` : l10n.t`lately rising`;
}

function meanOf(y: ArrayLike<number>, from: number, to: number): number {
  let sum = 0;
  let count = 0;
  for (let index = from; index < to; index += 1) {
    const value = y[index] ?? NaN;
    if (!Number.isFinite(value)) continue;
    sum += value;
    count += 1;
  }
  return sum / count;
}
