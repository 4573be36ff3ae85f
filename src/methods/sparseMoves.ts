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
      const there = placesIn(to, key);
      let at = 0;
      for (const place of indices) {
        while (there[at]! < place) at++;
        if (there[at] !== place) count++;
      }
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
    const trained = numbersOf(placesIn(before, indicesKey(site)), values.get(name));
    const left = numbersOf(placesIn(before, leftIndicesKey(site)), values.get(leftName));
    const indices = placesIn(next, indicesKey(site));
    if (indices.length > 0) {
      nextValues.set(name, numbersAt(indices, left, trained));
      for (const [slot, old] of slots) {
        if (!slot.startsWith(`${name}/`)) continue;
        nextSlots.set(slot, numbersAt(indices, { ...trained, values: old }));
      }
    }
    const resting = without(indices, left, trained);
    if (resting.places.length === 0) continue;
    prepared.set(leftIndicesKey(site), resting.places);
    prepared.set(leftValuesKey(site), resting.values);
    nextValues.set(leftName, resting.values);
  }
  return { prepared, values: nextValues, slots: nextSlots };
}

/** Numbers and their places, which rise. A map of them could not hold as many as a large model has. */
export interface NumbersAt {
  readonly places: Int32Array;
  readonly values: Float32Array;
}

/** None where nothing trains in the weight. */
function placesIn(prepared: Prepared, key: string): Int32Array {
  const found = prepared.get(key);
  return found instanceof Int32Array ? found : new Int32Array();
}

function numbersOf(places: Int32Array, values: Float32Array | undefined): NumbersAt {
  return values === undefined ? { places: new Int32Array(), values: new Float32Array() } : { places, values };
}

/** The numbers at these places, which rise; zero where there is none, the last where there are several. */
export function numbersAt(places: Int32Array, ...known: readonly NumbersAt[]): Float32Array {
  const found = new Float32Array(places.length);
  for (const { places: there, values } of known) {
    let at = 0;
    for (let index = 0; index < places.length; index++) {
      while (there[at]! < places[index]!) at++;
      if (there[at] === places[index]) found[index] = values[at]!;
    }
  }
  return found;
}

/** The numbers of two sets that are not zero and at none of these places; of two at one place the second. */
function without(taken: Int32Array, first: NumbersAt, second: NumbersAt): NumbersAt {
  const most = first.places.length + second.places.length;
  const [places, values] = [new Int32Array(most), new Float32Array(most)];
  let [count, one, two, at] = [0, 0, 0, 0];
  while (one < first.places.length || two < second.places.length) {
    const place = Math.min(first.places[one] ?? Infinity, second.places[two] ?? Infinity);
    const value = second.places[two] === place ? second.values[two]! : first.values[one]!;
    if (first.places[one] === place) one++;
    if (second.places[two] === place) two++;
    while (taken[at]! < place) at++;
    if (value === 0 || taken[at] === place) continue;
    places[count] = place;
    values[count++] = value;
  }
  return { places: places.slice(0, count), values: values.slice(0, count) };
}
