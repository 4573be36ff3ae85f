import type { Site } from '../../models/site.js';
import type { CombinedModule } from './combination.js';
import { pairsOfPlaces } from './combinedPairs.js';
import type { WeighedPart } from './combinedPart.js';
import type { SparseDifference } from '../sparseSum.js';

/** What one adapter adds to single numbers of a weight or bias. */
export interface NumbersTerm {
  /** Its place among the adapters. */
  readonly at: number;
  readonly difference: SparseDifference;
  readonly weight: number;
}

/** What single numbers of a module and their sum are. @param size how many numbers its weight or bias has */
export function combinedNumbers(
  site: Site,
  size: number,
  terms: readonly NumbersTerm[],
  parts: readonly Pick<WeighedPart, 'weightIn'>[],
  sum: SparseDifference,
): CombinedModule {
  const updates = terms.map(({ at, difference: { places, values }, weight }) => {
    const update = { places, values: values.map((each) => weight * each) };
    return { at, update, norm: normOf(update) };
  });
  return {
    path: site.path,
    layer: site.layer ?? null,
    weights: parts.map(({ weightIn }, at) => terms.find((term) => term.at === at)?.weight ?? weightIn(site)),
    size,
    numbers: sum.places.length,
    norms: parts.map((_, at) => updates.find((each) => each.at === at)?.norm ?? 0),
    norm: normOf(sum),
    error: 0,
    pairs: pairsOfPlaces(updates, size),
  };
}

function normOf({ values }: SparseDifference): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
