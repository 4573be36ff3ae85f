import type { Random } from '../../src/common/random.js';
import { chat } from './kinds/chat.js';
import { copies } from './kinds/copies.js';
import { record, tableInProse, tableWithQuestions } from './kinds/grids.js';
import { account, description, invoice, news, shop } from './kinds/market.js';
import { changes, commentedQueries, explainedQuery, lesson, session } from './kinds/sql.js';
import { exercise, facts, review, story, whereIsIt } from './kinds/stories.js';

/** The kinds of documents and how often each is drawn, relative to the others. */
const kinds: readonly (readonly [weight: number, write: (rng: Random) => string])[] = [
  [14, commentedQueries],
  [12, explainedQuery],
  [6, session],
  [6, lesson],
  [3, changes],
  [14, tableWithQuestions],
  [6, tableInProse],
  [5, record],
  [8, shop],
  [6, news],
  [5, invoice],
  [4, account],
  [6, description],
  [10, story],
  [7, whereIsIt],
  [8, facts],
  [5, review],
  [8, exercise],
  [6, chat],
  [22, copies],
];
const totalWeight = kinds.reduce((sum, [weight]) => sum + weight, 0);

/** One generated document: its text and the name of its kind. All randomness comes from `rng`. */
export function generateDocument(rng: Random): { readonly kind: string; readonly text: string } {
  let left = rng.uniform() * totalWeight;
  for (const [weight, write] of kinds) {
    left -= weight;
    if (left < 0) return { kind: write.name, text: write(rng) };
  }
  const [, last] = kinds.at(-1)!;
  return { kind: last.name, text: last(rng) };
}
