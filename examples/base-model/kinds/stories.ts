import type { Random } from '../../../src/common/random.js';
import {
  animals,
  between,
  capital,
  chance,
  cities,
  colors,
  countries,
  days,
  goods,
  jobs,
  joinWords,
  months,
  people,
  pick,
  pickSome,
  plural,
  rooms,
  spell,
  subjects,
  weather,
  withArticle,
} from '../lexicon.js';

const feelings = 'happy sad tired angry calm proud hungry afraid'.split(' ');
const verbs = ['carried', 'found', 'lost', 'painted', 'sold', 'cleaned', 'hid', 'repaired', 'dropped', 'bought'];

/** A short story: who, where, what happened, how it ended. */
export function story(rng: Random): string {
  const [one, two] = pickSome(rng, people, 2);
  const [thing, room, animal] = [pick(rng, goods), pick(rng, rooms), pick(rng, animals)];
  const city = pick(rng, cities);
  const opening = pick(rng, [
    `${one} was ${withArticle(pick(rng, jobs))} in ${city}.`,
    `${one} and ${two} lived in ${withArticle(pick(rng, ['small', 'old', 'large', 'white']))} house near ${city}.`,
    `It was a ${pick(rng, weather)} ${pick(rng, days)} in ${pick(rng, months)}, and ${one} was at home.`,
    `Every ${pick(rng, days)} ${one} went to the market with ${two}.`,
  ]);
  const middle = pickSome(
    rng,
    [
      `${one} ${pick(rng, verbs)} ${withArticle(thing)} in the ${room}.`,
      `A ${pick(rng, colors.slice(0, 8))} ${animal} ran through the ${room}.`,
      `"Where is the ${thing}?" asked ${two}. "It is in the ${room}," said ${one}.`,
      `${two} was ${pick(rng, feelings)}, because the ${thing} was ${pick(rng, ['gone', 'broken', 'too heavy', 'new'])}.`,
      `They ate bread and ${pick(rng, ['cheese', 'soup', 'fish', 'apples', 'honey'])} and talked about ${pick(rng, countries)}.`,
      `When the door opened, ${two} came in with ${spell(between(rng, 2, 6))} ${plural(pick(rng, animals))}.`,
      `${one} wrote a letter to a friend in ${pick(rng, cities)}.`,
    ],
    between(rng, 2, 4),
  );
  const ending = pick(rng, [
    `In the evening they were ${pick(rng, feelings)} and went to bed.`,
    `So ${two} gave the ${thing} to ${one}.`,
    `From then on ${one} never went back to ${city}.`,
    `"Thank you," said ${one}.`,
    `And that was the end of the day.`,
  ]);
  return [opening, ...middle, ending].join(' ');
}

/** Things that move between rooms, then where they are: following state through a text. */
export function whereIsIt(rng: Random): string {
  const actors = pickSome(rng, people, between(rng, 2, 3));
  const thing = pick(rng, goods);
  let place = pick(rng, rooms);
  const told = [`The ${thing} is in the ${place}.`];
  const seen = new Map<string, string>();
  for (let i = between(rng, 1, 4); i > 0; i--) {
    const actor = pick(rng, actors);
    const room = pick(rng, rooms);
    seen.set(actor, room);
    if (chance(rng, 0.5) && room !== place) {
      told.push(`${actor} takes the ${thing} to the ${room}.`);
      place = room;
    } else told.push(`${actor} goes to the ${room}.`);
  }
  const questions = [`Where is the ${thing}? In the ${place}.`];
  for (const [actor, room] of seen) questions.push(`Where is ${actor}? In the ${room}.`);
  return [...told, ...pickSome(rng, questions, between(rng, 1, 2))].join(' ');
}

/** Facts on people and questions on them, in the order of the text or another. */
export function facts(rng: Random): string {
  const persons = pickSome(rng, people, between(rng, 1, 3)).map((name) => ({
    name,
    job: pick(rng, jobs),
    city: pick(rng, cities),
    age: between(rng, 18, 80),
    pet: pick(rng, animals),
    subject: pick(rng, subjects),
  }));
  const told = persons.map(({ name, job, city, age, pet }) =>
    pick(rng, [
      `${name} is ${withArticle(job)} from ${city}. ${name} is ${age} years old and has ${withArticle(pet)}.`,
      `${name} lives in ${city} and works as ${withArticle(job)}. At the age of ${age}, ${name} has ${withArticle(pet)}.`,
      `The ${job} ${name}, ${age}, lives in ${city} with ${withArticle(pet)}.`,
    ]),
  );
  const asked = Array.from({ length: between(rng, 1, 3) }, () => {
    const person = pick(rng, persons);
    return pick(rng, [
      `Where does ${person.name} live? In ${person.city}.`,
      `How old is ${person.name}? ${person.age}.`,
      `What does ${person.name} do? ${person.name} is ${withArticle(person.job)}.`,
      `Which animal does ${person.name} have? ${capital(withArticle(person.pet))}.`,
      `Does ${person.name} like ${person.subject}? Nobody knows.`,
    ]);
  });
  const separator = chance(rng, 0.5) ? '\n' : ' ';
  return [told.join(' '), ...new Set(asked)].join(separator);
}

/** A review and whether it is good or bad. */
export function review(rng: Random): string {
  const good = chance(rng, 0.5);
  const thing = pick(rng, [...goods.slice(0, 16), 'soup', 'hotel', 'book', 'film', 'service', 'room']);
  const praise = ['wonderful', 'very good', 'well made', 'worth the price', 'a pleasure'];
  const blame = ['terrible', 'very bad', 'badly made', 'too expensive', 'a disappointment'];
  const [first, second] = pickSome(rng, good ? praise : blame, 2);
  const text = [
    pick(rng, [
      `The ${thing} was ${first} and ${second}.`,
      `I found the ${thing} ${first}, and it was ${second}.`,
    ]),
    good
      ? pick(rng, ['I will come back.', 'My family loved it.', 'Thank you!', 'I can recommend it to everyone.'])
      : pick(rng, ['I want my money back.', 'Never again.', 'Nobody answered my letters.', 'Do not buy it.']),
  ].join(' ');
  const label = good ? 'positive' : 'negative';
  return pick(rng, [
    `Review: ${text}\nSentiment: ${label}`,
    `${text}\nThis review is ${label}.`,
    `${text} (${good ? 'five stars' : 'one star'})`,
  ]);
}

/** Word exercises: spelling, counting, sorting, opposites. */
export function exercise(rng: Random): string {
  const words = pickSome(rng, pick(rng, [people, cities, goods, colors, animals, jobs]), between(rng, 3, 6));
  const numbers = Array.from({ length: between(rng, 3, 5) }, () => between(rng, 1, 99));
  const [a, b] = [between(rng, 1, 60), between(rng, 1, 40)];
  return pick(rng, [
    `Words: ${words.join(', ')}\nSorted: ${[...words].sort().join(', ')}`,
    `Words: ${words.join(' ')}\nFirst: ${words[0]!}\nLast: ${words.at(-1)!}`,
    `List: ${words.join(', ')}. The list has ${spell(words.length)} words.`,
    `Numbers: ${numbers.join(' ')}\nLargest: ${Math.max(...numbers)}\nSmallest: ${Math.min(...numbers)}`,
    `${a} plus ${b} is ${a + b}. ${a + b} minus ${b} is ${a}.`,
    `Repeat: ${words.join(' ')}\n${words.join(' ')}`,
    `Backwards: ${words.join(' ')}\n${[...words].reverse().join(' ')}`,
    `${capital(joinWords(words))} are ${spell(words.length)} words. One of them is ${pick(rng, words)}.`,
  ]);
}
