import * as l10n from '@vscode/l10n';
import { formatCount, formatDuration, formatPercent } from '../src/common/format.js';
import type { PlotAxis } from './curveColumns.js';
import type { Span } from './decimate.js';

/** Where an axis has its ticks, and what stands there. */
export interface Ticks {
  readonly at: readonly number[];
  readonly text: readonly string[];
}

/** Round values (1, 2 or 5 times a power of ten) within a span, at most `most` of them and no closer than `least`. */
export function linearTicks([from, to]: Span, most: number, least = 0): number[] {
  const rough = Math.max((to - from) / Math.max(1, most), least, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(rough) + 1e-9);
  const step = ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  return multiples([from, to], step);
}

function multiples([from, to]: Span, step: number): number[] {
  if (!Number.isFinite(step) || step <= 0 || !(to > from)) return [];
  const ticks: number[] = [];
  const last = Math.floor(to / step + 1e-9);
  // Adding 0 turns -0 into 0.
  for (let index = Math.ceil(from / step - 1e-9) + 0; index <= last; index += 1) ticks.push(index * step);
  return ticks;
}

/** Ticks of a logarithmic axis: powers of ten, between them 2 and 5 where there is room; linear within a decade. */
export function logTicks([from, to]: Span, most: number): number[] {
  if (!(from > 0) || !(to > from)) return [];
  const [low, high] = [Math.log10(from), Math.log10(to)];
  if (high - low < 1) return linearTicks([from, to], most);
  const first = Math.floor(low);
  const apart = Math.max(1, Math.ceil((high - low) / Math.max(1, most)));
  const factors = 3 * (high - low) <= most ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = Math.ceil(first / apart) * apart; power <= high; power += apart) {
    for (const factor of factors) ticks.push(factor * 10 ** power);
  }
  const below =
    factors.length > 1 ? factors.map((factor) => factor * 10 ** (Math.ceil(first / apart) * apart - 1)) : [];
  return [...below, ...ticks].filter((tick) => tick >= from * (1 - 1e-9) && tick <= to * (1 + 1e-9));
}

/** Steps of time that people count in, in seconds. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Ticks of what curves run over, with what stands at them. */
export function xTicks(axis: PlotAxis, span: Span, most: number): Ticks {
  if (axis === 'time') {
    const rough = (span[1] - span[0]) / Math.max(1, most);
    const step = TIME_STEPS.find((seconds) => seconds >= rough);
    const at = step === undefined || rough < 1 ? linearTicks(span, most) : multiples(span, step);
    return { at, text: at.map((seconds) => clock(seconds, span)) };
  }
  // There is nothing between two steps, trials or tokens.
  const at = linearTicks(span, most, 1);
  return { at, text: at.map(axis === 'tokens' ? compactCount : formatCount) };
}

/** What the axes are called, without a unit. */
export const AXIS_TITLES: Readonly<Record<PlotAxis, () => string>> = {
  step: () => l10n.t`step`,
  trial: () => l10n.t`trial`,
  time: () => l10n.t`training time`,
  tokens: () => l10n.t`tokens seen`,
};

/** The name of the axis, in the unit that its ticks have. */
export function axisName(axis: PlotAxis, [from, to]: Span): string {
  if (axis !== 'time') return AXIS_TITLES[axis]();
  if (to - from < 10 || to < 120) return l10n.t`training time (s)`;
  return to < 7200 ? l10n.t`training time (min:s)` : l10n.t`training time (h:min)`;
}

function clock(seconds: number, [from, to]: Span): string {
  if (to - from < 10 || to < 120) return String(Number(seconds.toFixed(3)));
  const [whole, rest] =
    to < 7200 ? [Math.floor(seconds / 60), seconds % 60] : [seconds / 3600, (seconds % 3600) / 60];
  return `${Math.floor(whole)}:${String(Math.floor(rest)).padStart(2, '0')}`;
}

/** Where a curve is, in words: `step 1,234`. */
export function placeText(axis: PlotAxis, value: number): string {
  if (axis === 'step') return l10n.t`step ${formatCount(value)}`;
  if (axis === 'trial') return l10n.t`trial ${formatCount(value)}`;
  return axis === 'time' ? formatDuration(value) : l10n.t`${formatCount(value)} tokens`;
}

/** `1,500` → `1.5k`, `2,000,000` → `2M`. */
export function compactCount(count: number): string {
  for (const [unit, letter] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (Math.abs(count) >= unit) return `${Number((count / unit).toPrecision(4))}${letter}`;
  }
  return String(Math.round(count));
}

/** Ticks of what curves show. */
export function yTicks(
  span: Span,
  most: number,
  kind: { readonly log: boolean; readonly percent: boolean },
): Ticks {
  const at = kind.log ? logTicks(span, most) : linearTicks(span, most);
  const between = kind.log ? 0 : Math.abs((at[1] ?? 0) - (at[0] ?? 0));
  return { at, text: at.map((value) => (kind.percent ? percentTick(value) : numberTick(value, between))) };
}

function percentTick(share: number): string {
  const percent = Number((share * 100).toFixed(6));
  return Number.isInteger(percent) ? `${percent} %` : formatPercent(share);
}

/**
 * A number at a tick: `0.25`, `1e-4`, `2.5e-4`, `12k`, with no more digits than tell it from its neighbours, which are
 * `between` away (0 where that varies).
 */
export function numberTick(value: number, between: number): string {
  if (value === 0 || Math.abs(value) < between * 1e-6) return '0';
  const size = Math.abs(value);
  const digits = between > 0 ? Math.max(1, Math.ceil(Math.log10(size / between) + 1.001)) : 3;
  const short = Number(value.toPrecision(Math.min(15, Math.max(digits, 1))));
  if (size < 1e-3) return short.toExponential().replace('e+', 'e');
  return size >= 1e4 ? compactCount(short) : String(short);
}

/** A span widened so that curves do not touch the frame, and that a single value has room around it. */
export function padded(
  [low, high]: Span,
  { log, fromZero }: { readonly log: boolean; readonly fromZero: boolean },
): Span {
  if (log) {
    const margin = high > low ? (high / low) ** 0.05 : 1.5;
    return [low / margin, high * margin];
  }
  const bottom = fromZero ? Math.min(0, low) : low;
  const margin = (high > bottom ? high - bottom : Math.abs(high) || 1) * 0.06;
  return [bottom === 0 ? 0 : bottom - margin, high + margin];
}
