import type { Random } from '../../../src/common/random.js';
import {
  animals,
  between,
  cities,
  colors,
  days,
  goods,
  jobs,
  joinWords,
  people,
  pick,
  pickSome,
  plural,
  spell,
  weather,
  withArticle,
} from '../lexicon.js';

/** A conversation of two to four turns, written as the tokenizer's chat template writes it. */
export function chat(rng: Random): string {
  const turns = Array.from({ length: between(rng, 2, 4) }, () => {
    const [user, assistant] = exchange(rng);
    return `<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n${assistant}<|im_end|>\n`;
  });
  return turns.join('');
}

function exchange(rng: Random): [user: string, assistant: string] {
  const [name, other] = pickSome(rng, people, 2);
  const things = pickSome(rng, pick(rng, [goods, cities, colors, animals, jobs]), between(rng, 2, 4));
  const good = pick(rng, goods);
  const [count, price] = [between(rng, 2, 9), between(rng, 2, 12)];
  const day = rng.integer(days.length);
  return pick<[string, string]>(rng, [
    [`Hello, my name is ${name}.`, `Hello ${name}, how can I help you?`],
    [`${name} is at home and ${other} is in ${pick(rng, cities)}. Who is at home?`, `${name} is at home.`],
    [`Repeat these words: ${things.join(', ')}.`, `${things.join(', ')}.`],
    [`Sort these words: ${things.join(', ')}.`, `${[...things].sort().join(', ')}.`],
    [`How many words are in this list: ${things.join(', ')}?`, `There are ${spell(things.length)} words.`],
    [
      `One ${good} costs ${price} dollars. What do ${count} ${plural(good)} cost?`,
      `They cost ${count * price} dollars.`,
    ],
    [`Which day comes after ${days[day]!}?`, `${days[(day + 1) % days.length]!} comes after ${days[day]!}.`],
    [`Write a sentence with the word ${good}.`, `${name} has ${withArticle(good)} at home.`],
    [`What is the weather in ${pick(rng, cities)}?`, `I do not know, but I hope it is not ${pick(rng, weather)}.`],
    [
      `${name} has ${joinWords(things.map((thing) => `the word ${thing}`))}. What is the last word?`,
      `The last word is ${things.at(-1)!}.`,
    ],
    ['Thank you.', 'You are welcome.'],
  ]);
}
