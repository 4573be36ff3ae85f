import type { Random } from '../../../src/common/random.js';
import {
  banks,
  between,
  capital,
  chance,
  cities,
  colors,
  companies,
  countries,
  days,
  goods,
  materials,
  months,
  people,
  pick,
  pickSome,
  plural,
  sectors,
  spell,
  withArticle,
} from '../lexicon.js';

/** Prices in a shop, then questions that the text answers, sums included. */
export function shop(rng: Random): string {
  const [owner, customer] = pickSome(rng, people, 2);
  const [one, two, three] = pickSome(rng, goods, 3);
  const [priceOne, priceTwo] = [between(rng, 2, 40), between(rng, 2, 40)];
  const count = between(rng, 2, 6);
  const city = pick(rng, cities);
  const opening = pick(rng, [
    `${owner} has a shop in ${city}.`,
    `In ${city} there is a small shop. It belongs to ${owner}.`,
    `${owner} sells ${plural(one!)} and ${plural(two!)} in ${city}.`,
  ]);
  const prices = pick(rng, [
    `A ${one} costs ${priceOne} dollars and a ${two} costs ${priceTwo} dollars.`,
    `The price of a ${one} is ${priceOne} dollars. The price of a ${two} is ${priceTwo} dollars.`,
    `One ${one} is ${priceOne} dollars, one ${two} is ${priceTwo}.`,
  ]).replace(/\b([Aa]) (umbrella)/g, '$1n $2');
  const questions: readonly string[] = [
    `What does ${withArticle(one!)} cost? ${priceOne} dollars.`,
    `Which costs more, the ${one} or the ${two}? ${compare(one!, priceOne, two!, priceTwo)}`,
    `Who owns the shop? ${owner}.`,
    `Where is the shop? In ${city}.`,
    `Does ${owner} sell ${plural(three!)}? The text does not say.`,
    `What do the ${one} and the ${two} cost together? ${priceOne + priceTwo} dollars.`,
  ];
  const purchase = pick(rng, [
    `${customer} buys ${spell(count)} ${plural(one!)} and pays ${count * priceOne} dollars.`,
    `On ${pick(rng, days)} ${customer} bought ${spell(count)} ${plural(two!)} for ${count * priceTwo} dollars.`,
    `${customer} looks at the ${one}, but it is too expensive.`,
  ]);
  return [opening, prices, purchase, ...pickSome(rng, questions, between(rng, 0, 3))].join(' ');
}

function compare(one: string, priceOne: number, two: string, priceTwo: number): string {
  if (priceOne === priceTwo) return 'They cost the same.';
  return `The ${priceOne > priceTwo ? one : two}.`;
}

/** Short market news about companies, shares and banks. */
export function news(rng: Random): string {
  const [company, other] = pickSome(rng, companies, 2);
  const sector = pick(rng, sectors);
  const [price, percent] = [between(rng, 5, 200), between(rng, 1, 15)];
  const up = chance(rng, 0.5);
  const sentences: readonly string[] = [
    `Shares of ${company} ${up ? 'rose' : 'fell'} by ${percent} percent to ${price} dollars on ${pick(rng, days)}.`,
    `${company}, ${withArticle(sector)} company from ${pick(rng, countries)}, reported a ${up ? 'profit' : 'loss'} of ${between(rng, 2, 90)} million dollars.`,
    `${capital(pick(rng, banks))} ${chance(rng, 0.5) ? 'raised' : 'cut'} its interest rate to ${between(rng, 1, 7)} percent in ${pick(rng, months)}.`,
    `${company} will ${pick(rng, ['buy', 'sell'])} its ${sector} business in ${pick(rng, countries)} ${chance(rng, 0.5) ? `to ${other}` : `for ${between(rng, 10, 400)} million dollars`}.`,
    `The revenue of ${company} in ${between(rng, 2001, 2024)} was ${between(rng, 10, 900)} million dollars.`,
    `${company} has ${between(rng, 2, 90) * 100} employees and its office is in ${pick(rng, cities)}.`,
    `${other} said that sales in ${pick(rng, months)} were ${up ? 'higher' : 'lower'} than a year ago.`,
    `${pick(rng, people)} is the new head of ${company}.`,
  ].map((sentence) => sentence.replace(/will buy (.*) to /, 'will buy $1 from '));
  const told = pickSome(rng, sentences, between(rng, 2, 4)).join(' ');
  if (chance(rng, 0.7)) return told;
  return `News: ${told}\nIs it good or bad for ${company}? ${/profit|rose|higher/.test(told) ? 'Good' : /loss|fell|lower/.test(told) ? 'Bad' : 'Neither'}.`;
}

/** An invoice with its total, or an account with its balance. */
export function invoice(rng: Random): string {
  const lines = pickSome(rng, goods, between(rng, 1, 4)).map((good) => {
    const [count, price] = [between(rng, 1, 9), between(rng, 2, 30)];
    return { text: `${count} x ${good} at ${price} = ${count * price}`, sum: count * price };
  });
  const total = lines.reduce((sum, line) => sum + line.sum, 0);
  const customer = pick(rng, people);
  const status = pick(rng, ['paid', 'open', 'cancelled']);
  const date = `${between(rng, 1, 28)} ${pick(rng, months)} ${between(rng, 2001, 2024)}`;
  const head = pick(rng, [
    `Invoice for ${customer}, ${date}`,
    `Order of ${customer}\nDate: ${date}`,
    `Customer: ${customer}\nDate: ${date}\nStatus: ${status}`,
  ]);
  const foot = pick(rng, [
    `Total: ${total}`,
    `Total: ${total} dollars\nStatus: ${status}`,
    `The total is ${total} dollars. The invoice is ${status}.`,
  ]);
  return [head, ...lines.map((line) => line.text), foot].join('\n');
}

/** Money that moves between people and banks, with the balance after it. */
export function account(rng: Random): string {
  const [owner, other] = pickSome(rng, people, 2);
  const bank = pick(rng, banks);
  let balance = between(rng, 10, 90) * 10;
  const told = [`${owner} has an account at ${bank} with a balance of ${balance} dollars.`];
  for (let i = between(rng, 1, 3); i > 0; i--) {
    const amount = Math.min(balance, between(rng, 1, 20) * 10);
    const paid = chance(rng, 0.5) && amount > 0;
    balance += paid ? -amount : amount;
    told.push(
      paid
        ? pick(rng, [`${owner} pays ${other} ${amount} dollars.`, `${owner} takes out ${amount} dollars.`])
        : pick(rng, [`${other} sends ${owner} ${amount} dollars.`, `${owner} puts in ${amount} dollars.`]),
    );
    told.push(`Now the balance is ${balance} dollars.`);
  }
  return told.join(' ');
}

/** What a thing is like. */
export function description(rng: Random): string {
  const good = pick(rng, goods);
  const [color, material] = [pick(rng, colors), pick(rng, materials)];
  const sentences = [
    `It is made of ${material} and comes from ${pick(rng, countries)}.`,
    `It weighs ${between(rng, 1, 30)} pounds.`,
    `It costs ${between(rng, 2, 200)} dollars, which is ${pick(rng, ['cheap', 'a fair price', 'a lot of money'])}.`,
    `${pick(rng, people)} bought it in ${pick(rng, cities)} in ${between(rng, 1970, 2024)}.`,
    `It is ${pick(rng, ['old but still good', 'new', 'broken', 'small and light', 'large and heavy'])}.`,
    `You can also get it in ${pick(rng, colors)}.`,
  ];
  const opening = pick(rng, [
    `This is ${withArticle(color)} ${good}.`,
    `The ${good} is ${color}.`,
    `For sale: ${withArticle(color)} ${good}.`,
    `${capital(withArticle(`${color} ${good}`))} stands in the window.`,
  ]);
  return [opening, ...pickSome(rng, sentences, between(rng, 2, 4))].join(' ');
}
