import type { GivenMethod } from './methodEntry.js';

/** The option that says how many numbers of a method train. */
export interface SizeOption {
  readonly name: string;
  /** `count`: a whole number from 1 up; `share`: of numbers there are, above 0 and at most 1. */
  readonly kind: 'count' | 'share';
  /** Other options that go with it, at its new value. */
  readonly along?: (size: number) => Readonly<Record<string, number>>;
  /** What of the numbers that a plan counts is left in the end; default: all. */
  readonly left?: (size: number) => number;
}

/** By their names; of a method that has several, the first. */
const SIZES: readonly SizeOption[] = [
  { name: 'r', kind: 'count' },
  { name: 'rank', kind: 'count' },
  // Ranks fall to target_r, two thirds of what they are at first, as by default.
  { name: 'init_r', kind: 'count', along: (size) => ({ target_r: Math.max(1, Math.round((size * 2) / 3)) }) },
  { name: 'intrinsic_dim', kind: 'count' },
  { name: 'num_virtual_tokens', kind: 'count' },
  { name: 'bottleneck_size', kind: 'count' },
  { name: 'num_layers', kind: 'count' },
  { name: 'keep_ratio', kind: 'share' },
  // All targeted weights train first: what is matched is what the result changes.
  { name: 'ft_params_proportion', kind: 'share', left: (size) => size },
];

/** The option that sizes a method which knows these options; undefined for one without. */
export function sizeOption(known: readonly string[]): SizeOption | undefined {
  return SIZES.find(({ name }) => known.includes(name));
}

/** A method at another size. */
export function atSize(method: GivenMethod, option: SizeOption, size: number): GivenMethod {
  return { ...method, ...option.along?.(size), [option.name]: size };
}

/** A size, and how many numbers train with it. */
export interface Sized {
  readonly size: number;
  readonly trainable: number;
  /** As many train with every size. */
  readonly isIdle?: true;
}

/** More is no size: ranks of the largest matrices are below. */
const MOST = 2 ** 20;

/**
 * The size with which the number of trainable numbers comes nearest to a target (in the ratio). More numbers train with a
 * greater size.
 *
 * @param count how many train with a size; undefined for one that is too large
 * @returns undefined where not even the smallest size can be
 */
export async function matchSize(
  { kind, left }: SizeOption,
  target: number,
  count: (size: number) => Promise<number | undefined>,
): Promise<Sized | undefined> {
  const at = async (size: number): Promise<Sized | undefined> => {
    const trainable = await count(size);
    return trainable === undefined ? undefined : { size, trainable: Math.round(trainable * (left?.(size) ?? 1)) };
  };
  return kind === 'share' ? matchShare(target, at) : matchCount(target, at);
}

/** The numbers grow with the share, all but in proportion: a step or two come to the target. */
async function matchShare(
  target: number,
  at: (share: number) => Promise<Sized | undefined>,
): Promise<Sized | undefined> {
  let best = await at(START_SHARE);
  for (let step = 0; step < 3 && best !== undefined && best.trainable !== target; step++) {
    const share = Number(Math.min(1, (best.size * target) / Math.max(1, best.trainable)).toPrecision(6));
    if (share === best.size) break;
    const next = await at(share);
    if (next === undefined || distance(next, target) >= distance(best, target)) break;
    best = next;
  }
  return best;
}

const START_SHARE = 0.01;

/** Doubles until there are enough or no more come, then halves the interval. */
async function matchCount(
  target: number,
  at: (size: number) => Promise<Sized | undefined>,
): Promise<Sized | undefined> {
  let below = await smallest(at);
  if (below === undefined) return undefined;
  const first = below;
  // GaLore's rank is the optimizer's: all weights train, however small it is.
  if (first.trainable > target && (await at(2 * first.size))?.trainable === first.trainable) {
    return { ...first, isIdle: true };
  }
  let above: Sized | undefined;
  let limit = below.trainable >= target ? below.size : MOST;
  let idle = 0;
  for (let size = 2 * below.size; limit === MOST && size <= MOST; size *= 2) {
    const next = await at(size);
    if (next === undefined || next.trainable >= target) {
      limit = size;
      above = next;
    } else if (next.trainable > below.trainable) {
      below = next;
      idle = 0;
    } else if (++idle === IDLE) return below === first ? { ...below, isIdle: true } : below;
  }
  while (limit - below.size > 1) {
    const middle = Math.floor((below.size + limit) / 2);
    const next = await at(middle);
    if (next === undefined || next.trainable >= target) {
      limit = middle;
      above = next;
    } else below = next;
  }
  return above !== undefined && distance(above, target) < distance(below, target) ? above : below;
}

/** So many doublings that change nothing are the end of growing: a matrix of full rank. */
const IDLE = 3;

/** Some methods cannot be at size 1: a subspace needs room for the factors of layers. */
async function smallest(at: (size: number) => Promise<Sized | undefined>): Promise<Sized | undefined> {
  for (let size = 1; size <= 4096; size *= 2) {
    const found = await at(size);
    if (found !== undefined) return found;
  }
  return undefined;
}

function distance({ trainable }: Sized, target: number): number {
  return Math.abs(Math.log(Math.max(1, trainable) / target));
}
