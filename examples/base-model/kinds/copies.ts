import type { Random } from '../../../src/common/random.js';
import {
  animals,
  banks,
  between,
  categories,
  chance,
  cities,
  colors,
  companies,
  countries,
  departments,
  genres,
  goods,
  jobs,
  joinWords,
  materials,
  people,
  pick,
  pickSome,
  sectors,
  statuses,
  subjects,
  titles,
} from '../lexicon.js';

const words = [
  ...[animals, banks, categories, cities, colors, companies, countries, departments, genres, goods, jobs],
  ...[materials, people, sectors, statuses, subjects, titles],
].flat();

/** A word of any list, or a number of one to four digits; in quotes when `quoted` and a word. */
function value(rng: Random, quoted: boolean): string {
  if (chance(rng, 0.4)) return String(rng.integer(10 ** between(rng, 1, 4)));
  return quoted ? `'${pick(rng, words)}'` : pick(rng, words);
}

/**
 * Unrelated words and numbers, said again: as they are, in quotes, or looked up by a key. Nothing but the text before
 * tells what follows, so that a small model learns early to copy.
 */
export function copies(rng: Random): string {
  const plain = Array.from({ length: between(rng, 2, 6) }, () => value(rng, false));
  const quoted = plain.map((item) => (/^\d/.test(item) ? item : `'${item}'`));
  const roll = rng.uniform();
  if (roll < 0.2) return `Repeat: ${plain.join(', ')}\n${plain.join(', ')}\n${plain.join(', ')}`;
  if (roll < 0.4) return `${plain.join(', ')} -> ${quoted.join(', ')}`;
  if (roll < 0.5) return `${quoted.join(', ')} -> ${plain.join(', ')}`;
  if (roll < 0.7) {
    const lines = plain.map((item, index) => `${item} = ${quoted[index]!}`);
    return lines.join('\n');
  }
  const quotes = chance(rng, 0.5);
  const keys = pickSome(rng, words, between(rng, 2, 5));
  const pairs = keys.map((key): [string, string] => [key, value(rng, quotes)]);
  const asked = pickSome(rng, pairs, between(rng, 1, pairs.length));
  const [is, question] = pick<[string, string]>(rng, [
    [' is ', 'What is'],
    [': ', 'Find'],
    [' = ', 'Look up'],
    [' -> ', 'Give'],
  ]);
  const told = joinWords(pairs.map((pair) => pair.join(is)));
  return `${told}.\n${asked.map(([key, found]) => `${question} ${key}? ${found}`).join('\n')}`;
}
