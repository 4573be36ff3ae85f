import { random } from '../../common/random.js';
import { lowRankInner } from '../../linalg/products.js';
import { signConflictsAmong } from '../../linalg/signConflicts.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { CombinedPair } from './combination.js';
import { bounded, directionsOf, sharedSpace } from '../comparing/compareUpdates.js';
import type { Directions } from '../comparing/compareUpdates.js';
import type { SparseDifference } from '../sparseSum.js';

/** Places of a larger module at which signs are compared: the share's standard error is 0.4 percentage points at most then. */
const MOST_PLACES = 2 ** 14;

/** What one adapter changes in a module, its weight included. */
interface Update<Form> {
  /** Its place among the adapters. */
  readonly at: number;
  readonly update: Form;
  /** ‖update‖ */
  readonly norm: number;
}

/**
 * Every two low-rank updates of a module. @param updates B·A of each, of one shape
 * @param path draws the places at which signs are compared
 */
export async function pairsOfFactors(
  path: string,
  updates: readonly Update<PairValues>[],
): Promise<readonly CombinedPair[]> {
  if (updates.length < 2) return [];
  const spaces: Directions[] = [];
  for (const { update } of updates) spaces.push(await directionsOf(update));
  const conflicts = signConflictsAmong(
    updates.map(({ update }) => update),
    random(0, 'sign conflicts', path),
    MOST_PLACES,
  );
  const [{ update: first }] = updates as [Update<PairValues>, ...Update<PairValues>[]];
  const [rows, columns] = [first.b.length / first.r, first.a.length / first.r];
  return everyTwo(updates, (one, other, i, j) => {
    const outputs = sharedSpace(spaces[i]!.u, spaces[j]!.u, rows);
    const inputs = sharedSpace(spaces[i]!.v, spaces[j]!.v, columns);
    return {
      cosine: cosineOf(lowRankInner(one.update, other.update), one.norm, other.norm),
      shared: mean(outputs.shared, inputs.shared),
      sharedByChance: mean(outputs.sharedByChance, inputs.sharedByChance),
      signConflicts: conflicts[i]![j] ?? null,
    };
  });
}

/** Every two updates of a module as matrices of one shape: what they share is no space. */
export function pairsOfMatrices(updates: readonly Update<Float32Array>[]): readonly CombinedPair[] {
  return everyTwo(updates, (one, other) => {
    let [inner, opposite, compared] = [0, 0, 0];
    // The cosine reads all numbers; a loop, for they may be millions.
    for (let at = 0; at < one.update.length; at++) {
      const product = one.update[at]! * other.update[at]!;
      inner += product;
      if (product !== 0) compared++;
      if (product < 0) opposite++;
    }
    return {
      cosine: cosineOf(inner, one.norm, other.norm),
      shared: null,
      sharedByChance: null,
      signConflicts: compared === 0 ? null : opposite / compared,
    };
  });
}

/** Every two differences at places of a module. @param size how many numbers it has */
export function pairsOfPlaces(
  updates: readonly Update<SparseDifference>[],
  size: number,
): readonly CombinedPair[] {
  return everyTwo(updates, (one, other) => {
    const { inner, both, either, opposite, compared } = meeting(one.update, other.update);
    const [p, q] = [one.update.places.length / size, other.update.places.length / size];
    return {
      cosine: cosineOf(inner, one.norm, other.norm),
      shared: either === 0 ? null : both / either,
      sharedByChance: either === 0 ? null : (p * q) / (p + q - p * q),
      signConflicts: compared === 0 ? null : opposite / compared,
    };
  });
}

function everyTwo<Form>(
  updates: readonly Update<Form>[],
  relation: (one: Update<Form>, other: Update<Form>, i: number, j: number) => Omit<CombinedPair, 'adapters'>,
): readonly CombinedPair[] {
  return updates.flatMap((one, i) =>
    updates.slice(i + 1).map((other, j) => {
      return { adapters: [one.at, other.at], ...relation(one, other, i, i + 1 + j) };
    }),
  );
}

/** What two differences have at the same places. */
function meeting(
  one: SparseDifference,
  other: SparseDifference,
): Readonly<Record<'inner' | 'both' | 'either' | 'opposite' | 'compared', number>> {
  let [inner, both, opposite, compared] = [0, 0, 0, 0];
  for (let i = 0, j = 0; i < one.places.length && j < other.places.length;) {
    const step = one.places[i]! - other.places[j]!;
    if (step === 0) {
      const product = one.values[i]! * other.values[j]!;
      inner += product;
      both++;
      if (product !== 0) compared++;
      if (product < 0) opposite++;
    }
    if (step <= 0) i++;
    if (step >= 0) j++;
  }
  return { inner, both, either: one.places.length + other.places.length - both, opposite, compared };
}

function cosineOf(inner: number, one: number, other: number): number | null {
  return one * other === 0 ? null : bounded(inner / (one * other));
}

function mean(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : (one + other) / 2;
}
