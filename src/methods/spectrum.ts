import { effectiveRank, lowRankSingularValues } from '../linalg/effectiveRank.js';
import type { PairValues } from './lowRankPair.js';

/** What is told of the singular values of ΔW. */
export interface Spectrum {
  /** exp of the entropy of the singular values: see `linalg/effectiveRank.ts`; undefined where it was not computed. */
  readonly effectiveRank?: number | undefined;
  /** The largest ones, at most {@link MOST_TOLD}, the scale included. */
  readonly singularValues?: readonly number[];
  /** The share of ‖ΔW‖² that the first of them holds, the first two together, and so on; zeros where ΔW = 0. */
  readonly energy?: readonly number[];
  /** How many of all of them hold {@link ENERGY} of ‖ΔW‖²: the rank that would do nearly as well. */
  readonly energyRank?: number;
}

/** Singular values that are told of each module. */
export const MOST_TOLD = 8;

/** A rank that keeps this much of ‖ΔW‖² is told. */
export const ENERGY = 0.9;

/**
 * The spectrum of ΔW = s·B·A; of numbers that are not finite and of very high ranks there is none.
 * @param scale s; without it the effective rank alone is told, which does not depend on it
 */
export function spectrumOf({ b, a, r }: PairValues, scale: number | undefined): Spectrum {
  const all = lowRankSingularValues(b, a, r);
  if (all === undefined) return {};
  const rank = effectiveRank(all);
  if (scale === undefined) return { effectiveRank: rank };
  const energy = energyShares(all);
  const enough = energy.findIndex((share) => share >= ENERGY);
  return {
    effectiveRank: rank,
    singularValues: [...all.subarray(0, MOST_TOLD)].map((value) => Math.abs(scale) * value),
    energy: energy.slice(0, MOST_TOLD),
    energyRank: enough + 1,
  };
}

/** Σ_{j ≤ k} σ_j² / Σ σ² for each k; zeros where all are 0. */
function energyShares(singularValues: Float64Array): number[] {
  const whole = singularValues.reduce((sum, value) => sum + value * value, 0);
  let sum = 0;
  return [...singularValues].map((value) => (whole === 0 ? 0 : (sum += value * value) / whole));
}
