import type { Site } from '../models/site.js';
import type { Prepared, Turn, TurnView } from './method.js';
import { indicesKey, isNote, leftIndicesKey, leftValuesKey, valuesKey } from './sparsePlaces.js';

/** How many places train that did not before, and how many no longer do. */
export function changedPlaces(
  before: Prepared,
  next: Prepared,
): { readonly entered: number; readonly left: number } {
  const missing = (from: Prepared, to: Prepared): number => {
    let count = 0;
    for (const [key, indices] of from) {
      if (isNote(key) || !key.endsWith('.weight.indices')) continue;
      const there = new Set<number>(to.get(key));
      for (const place of indices) if (!there.has(place)) count++;
    }
    return count;
  };
  return { entered: missing(next, before), left: missing(before, next) };
}

/**
 * Places that are chosen anew. A place that stays goes on with its difference and its optimizer slots; one that left rests
 * with its difference, unless that is zero; a new one starts from the difference that it was left with, or from zero, with
 * slots of zero.
 *
 * @param sites of the weights that places are chosen in
 * @param before what the differences are attached with
 * @param next the places that are to train
 * @param now present numbers and slots; `instance` is what their names start with
 */
export function movedOn(
  sites: readonly Site[],
  before: Prepared,
  next: Prepared,
  { values, slots, instance }: Pick<TurnView, 'values' | 'slots'> & { readonly instance: string },
): Pick<Turn, 'prepared' | 'values' | 'slots'> {
  const prepared = new Map(next);
  const nextValues = new Map<string, Float32Array>();
  const nextSlots = new Map<string, Float32Array>();
  for (const site of sites) {
    const name = `${instance}${valuesKey(site)}`;
    const leftName = `${instance}${leftValuesKey(site)}`;
    const trained = placesWith(before.get(indicesKey(site)), values.get(name));
    const all = new Map([...placesWith(before.get(leftIndicesKey(site)), values.get(leftName)), ...trained]);
    const indices = next.get(indicesKey(site)) ?? new Int32Array();
    const stays = new Set(indices);
    if (indices.length > 0) {
      nextValues.set(
        name,
        Float32Array.from(indices, (place) => all.get(place) ?? 0),
      );
      for (const [slot, old] of slots) {
        if (!slot.startsWith(`${name}/`)) continue;
        const known = placesWith(before.get(indicesKey(site)), old);
        nextSlots.set(
          slot,
          Float32Array.from(indices, (place) => known.get(place) ?? 0),
        );
      }
    }
    const left = [...all].filter(([place, value]) => value !== 0 && !stays.has(place)).sort(([a], [b]) => a - b);
    if (left.length === 0) continue;
    const resting = Float32Array.from(left, ([, value]) => value);
    prepared.set(
      leftIndicesKey(site),
      Int32Array.from(left, ([place]) => place),
    );
    prepared.set(leftValuesKey(site), resting);
    nextValues.set(leftName, resting);
  }
  return { prepared, values: nextValues, slots: nextSlots };
}

/** Numbers by their places; none where nothing trains in the weight. */
function placesWith(
  indices: Float32Array | Int32Array | undefined,
  numbers: Float32Array | undefined,
): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  if (numbers === undefined) return found;
  indices?.forEach((place, at) => found.set(place, numbers[at]!));
  return found;
}
