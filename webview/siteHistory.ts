import { createThinned } from '../src/common/thinned.js';
import type { Thinned } from '../src/common/thinned.js';

/** What is told of a site. */
export const QUANTITIES = ['rank', 'scale', 'norm', 'density', 'share'] as const;
export type Quantity = (typeof QUANTITIES)[number];

/** A report, as events carry it. */
export interface SiteReports {
  readonly step: number;
  readonly sites: readonly ({ readonly path: string; readonly shape?: readonly number[] } & {
    readonly [Key in Quantity]?: number;
  })[];
  readonly budget?: number;
  readonly target?: number;
}

/** What was told after one step: a vector per quantity, by the site's index; NaN, or beyond its end, nothing was. */
export interface SiteFrame {
  readonly step: number;
  readonly values: Partial<Record<Quantity, Float32Array>>;
  budget?: number;
  target?: number;
}

/** What the methods told of each site over time, in ascending steps. */
export interface SiteHistory {
  /** In the order in which they were first told of. */
  readonly paths: string[];
  readonly indexOf: Map<string, number>;
  /** Of the tensors that masks are of, by path. */
  readonly shapes: Map<string, readonly number[]>;
  readonly frames: Thinned<SiteFrame>;
  /** Counts the reports. */
  version: number;
}

/** Numbers kept at most, 8 MB: more reports are kept at every second one, every fourth, … */
const KEPT_NUMBERS = 2 ** 21;

export function createSiteHistory(keptNumbers = KEPT_NUMBERS): SiteHistory {
  return {
    paths: [],
    indexOf: new Map(),
    shapes: new Map(),
    frames: createThinned(keptNumbers),
    version: 0,
  };
}

/**
 * Takes a report in. Several methods may report the same step: they make one frame. A run that is resumed repeats steps:
 * what was told of later ones no longer counts.
 */
export function takeReport(history: SiteHistory, { step, sites, budget, target }: SiteReports): void {
  const { frames, paths, indexOf, shapes } = history;
  history.version += 1;
  frames.dropLast((frame) => frame.step > step);
  for (const { path, shape } of sites) {
    if (!indexOf.has(path)) indexOf.set(path, paths.push(path) - 1);
    if (shape !== undefined) shapes.set(path, shape);
  }
  const last = frames.items().at(-1);
  const before = last?.step === step ? last : undefined;
  if (before !== undefined) frames.dropLast((frame) => frame === before);
  const values: SiteFrame['values'] = { ...before?.values };
  for (const quantity of QUANTITIES) {
    if (sites.every((site) => site[quantity] === undefined)) continue;
    const vector = new Float32Array(paths.length).fill(NaN);
    vector.set(values[quantity] ?? []);
    for (const site of sites) vector[indexOf.get(site.path) ?? 0] = site[quantity] ?? NaN;
    const known = last?.values[quantity];
    // A mask that stays is kept once.
    values[quantity] = known !== undefined && areSame(known, vector) ? known : vector;
  }
  const frame: SiteFrame = { step, values };
  if ((budget ?? before?.budget) !== undefined) frame.budget = budget ?? before?.budget;
  if ((target ?? before?.target) !== undefined) frame.target = target ?? before?.target;
  frames.add(frame, step, Object.keys(values).length * paths.length);
}

/** The frames in which a quantity was told. */
export function framesWith(history: SiteHistory, quantity: Quantity): SiteFrame[] {
  return history.frames.items().filter(({ values }) => values[quantity] !== undefined);
}

/** The quantities that were ever told. */
export function toldQuantities(history: SiteHistory): Quantity[] {
  const frames = history.frames.items();
  return QUANTITIES.filter((quantity) => frames.some(({ values }) => values[quantity] !== undefined));
}

/** A site's number in a frame; undefined where nothing was told. */
export function valueAt(frame: SiteFrame, quantity: Quantity, site: number): number | undefined {
  const value = frame.values[quantity]?.[site];
  return value === undefined || Number.isNaN(value) ? undefined : value;
}

/** Σ over the sites of which something was told. */
export function totalOf(frame: SiteFrame, quantity: Quantity): number {
  let total = 0;
  for (const value of frame.values[quantity] ?? []) if (!Number.isNaN(value)) total += value;
  return total;
}

/** The smallest and the largest number above 0 of a quantity in all frames; 0 where there is none. */
export function rangeOf(
  frames: readonly SiteFrame[],
  quantity: Quantity,
): { readonly smallest: number; readonly largest: number } {
  let [smallest, largest] = [Infinity, 0];
  let before: Float32Array | undefined;
  for (const { values } of frames) {
    const vector = values[quantity];
    if (vector === before) continue;
    before = vector;
    for (const value of vector ?? []) {
      if (value > largest) largest = value;
      if (value > 0 && value < smallest) smallest = value;
    }
  }
  return { smallest: largest > 0 ? smallest : 0, largest };
}

/** Index of the last frame at or before a step; 0 where all are later, -1 where there is none. */
export function frameIndexAt(frames: readonly SiteFrame[], step: number): number {
  let low = 0;
  let high = frames.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (frames[middle]!.step <= step) low = middle;
    else high = middle - 1;
  }
  return high < 0 ? -1 : low;
}

/** All that was told of a quantity as CSV: a line per site, a column per step. */
export function historyCsv({ paths }: SiteHistory, frames: readonly SiteFrame[], quantity: Quantity): string {
  const head = ['module', ...frames.map(({ step }) => `step ${step}`)].join(',');
  const lines = paths.map((path, site) =>
    [csvText(path), ...frames.map((frame) => valueAt(frame, quantity, site) ?? '')].join(','),
  );
  return [head, ...lines, ''].join('\n');
}

/**
 * A text as a field of CSV (RFC 4180), quoted where it must be. Names come out of files: one that a spreadsheet would
 * take for a formula has an apostrophe before it, and is a text there.
 */
export function csvText(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

function areSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, at) => Object.is(value, b[at]));
}
