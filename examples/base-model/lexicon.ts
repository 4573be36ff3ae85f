import type { Random } from '../../src/common/random.js';

/** The words that the generated part of the corpus, and the quickstart's task, are made of. */
export const people = (
  'Anna Ben Carla David Elena Felix Grace Hugo Iris Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tina Victor ' +
  'Clara Martin Laura Peter Nina Oscar Julia Tom Emma Frank Helen Adam Sarah James Ruth Lucas Alice Henry Sofia Mark'
).split(' ');
export const cities = (
  'Rome Paris Berlin Madrid Vienna Prague Oslo Lisbon Dublin Athens London Warsaw Zurich Milan Hamburg Geneva ' +
  'Boston Chicago Toronto Tokyo'
).split(' ');
export const countries = (
  'Italy France Germany Spain Austria Norway Portugal Ireland Greece England Poland Switzerland Canada Japan ' +
  'Sweden Denmark'
).split(' ');
export const goods = (
  'lamp chair table kettle clock mirror blanket basket bottle carpet candle drawer hammer ladder pillow shelf ' +
  'bicycle camera radio guitar jacket kettle notebook pencil printer keyboard scarf wallet umbrella bowl spoon plate'
).split(' ');
export const categories = 'kitchen garden office sport music travel toys tools clothes lighting'.split(' ');
export const companies = (
  'Norvia Altek Brightwater Corvax Delmont Eastfield Fairlane Greystone Halden Ironbridge Jasper Kestrel Lumen ' +
  'Meridian Northgate Orion Pinecrest Quantum Redwood Silverline'
).split(' ');
export const sectors = 'energy banking retail health software transport mining media steel insurance'.split(' ');
export const banks =
  'Harbor Bank,City Bank,Union Bank,River Bank,Crown Bank,Valley Bank,Summit Bank,Forest Bank'.split(',');
export const statuses = 'open paid shipped returned pending cancelled'.split(' ');
export const colors = 'red blue green yellow white black brown grey orange purple'.split(' ');
export const materials = 'wood glass steel cotton leather paper stone silver plastic wool'.split(' ');
export const jobs =
  'teacher doctor baker painter driver farmer lawyer nurse writer engineer gardener singer cook pilot clerk tailor'.split(
    ' ',
  );
export const departments = 'sales finance support research design legal marketing production'.split(' ');
export const genres = 'history poetry crime science travel fantasy drama comedy'.split(' ');
export const subjects = 'maths physics chemistry biology history music art geography'.split(' ');
export const animals = 'dog cat horse bird rabbit goat duck fox sheep mouse'.split(' ');
export const rooms = 'kitchen garden office hall cellar attic workshop library bedroom garage'.split(' ');
export const weather = 'sunny rainy cloudy windy foggy snowy cold warm'.split(' ');
export const days = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split(' ');
export const months =
  'January February March April May June July August September October November December'.split(' ');
export const numberWords = 'no one two three four five six seven eight nine ten eleven twelve'.split(' ');
export const titles = (
  'The Long River,A Quiet House,The Last Train,Winter Light,The Stone Bridge,Far From Home,The Glass Door,' +
  'Open Water,The Old Clock,Night Garden,The Third Key,A Small Island,Golden Fields,The Empty Chair,Blue Smoke,' +
  'The Silent Bell'
).split(',');

/** One of `items`, uniformly. */
export function pick<T>(rng: Random, items: readonly T[]): T {
  return items[rng.integer(items.length)]!;
}

/** `count` different items (all of them when there are fewer), in random order. */
export function pickSome<T>(rng: Random, items: readonly T[], count: number): T[] {
  const left = [...new Set(items)];
  const chosen: T[] = [];
  while (chosen.length < count && left.length > 0) chosen.push(...left.splice(rng.integer(left.length), 1));
  return chosen;
}

/** An integer from `low` to `high`, both possible. */
export function between(rng: Random, low: number, high: number): number {
  return low + rng.integer(high - low + 1);
}

/** True with probability `share`. */
export function chance(rng: Random, share: number): boolean {
  return rng.uniform() < share;
}

/** `a`, `a and b`, `a, b and c`. */
export function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)!}`;
}

/** The word for small numbers, digits for the others. */
export function spell(count: number): string {
  return numberWords[count] ?? String(count);
}

/** `a lamp`, `an umbrella`, by the first letter. */
export function withArticle(noun: string): string {
  return `${/^[aeio]|^um/i.test(noun) ? 'an' : 'a'} ${noun}`;
}

/** Regular English plural; `shelf` and `mouse` and `sheep` are the exceptions that the word lists need. */
export function plural(noun: string): string {
  const irregular: Readonly<Record<string, string>> = { shelf: 'shelves', mouse: 'mice', sheep: 'sheep' };
  const known = irregular[noun];
  if (known !== undefined) return known;
  if (/(s|x|ch|sh)$/.test(noun)) return `${noun}es`;
  return /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
