import * as l10n from '@vscode/l10n';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Content } from './content.js';
import type { Tokenized } from './tokenize.js';

/**
 * A row for an encoder: one text or two, with the special tokens that the tokenizer puts around them. Longer rows lose
 * tokens of their texts, of the longer one first (Transformers' `longest_first`); special tokens stay. What is supervised
 * are the texts' tokens, for a task that masks some of them; a row with a class has none.
 */
export function tokenizeForEncoder(content: Content, tokenizer: Tokenizer, maxLength: number): Tokenized {
  if (content.kind !== 'text' && content.kind !== 'classification') {
    return { status: 'broken', reason: l10n.t`an encoder reads texts: there is no answer to learn` };
  }
  const pair = content.kind === 'classification' ? content.pair : undefined;
  const row = encodeRow(content.text, pair, tokenizer);
  const specials = row.ids.length - row.first.length - row.second.length;
  const room = maxLength - specials;
  const [first, second] = lengthsWithin(row.first.length, row.second.length, room);
  const truncated = first < row.first.length || second < row.second.length;
  if (room < 1 || first + second === 0) return { status: 'unsupervised', truncated };
  const dropped = (at: number): boolean =>
    (at >= row.first.start + first && at < row.first.start + row.first.length) ||
    (at >= row.second.start + second && at < row.second.start + row.second.length);
  const kept = [...row.ids.keys()].filter((at) => !dropped(at));
  const masks = content.kind === 'text';
  return {
    status: 'kept',
    ids: kept.map((at) => row.ids[at]!),
    supervised: kept.map((at) => (masks && at >= row.first.start && at < row.first.start + first ? 1 : 0)),
    ...(row.types === undefined ? {} : { types: kept.map((at) => row.types![at]!) }),
    truncated,
    endless: false,
    emptyAnswer: false,
  };
}

/** Where a text's tokens lie in a row. */
interface Part {
  readonly start: number;
  readonly length: number;
}

interface EncodedRow {
  readonly ids: readonly number[];
  /** Absent: one text. */
  readonly types?: readonly number[];
  readonly first: Part;
  readonly second: Part;
}

function encodeRow(text: string, pair: string | undefined, tokenizer: Tokenizer): EncodedRow {
  const plain = (part: string): number[] =>
    part === '' ? [] : tokenizer.encode(part, { addSpecialTokens: false });
  const first = plain(text);
  const second = pair === undefined ? [] : plain(pair);
  // A text that is there shows how many special tokens stand before one; they are as many before a pair.
  const [shown, shownIds] = first.length > 0 ? [text, first] : [pair ?? '', second];
  const whole = tokenizer.encode(shown, { addSpecialTokens: true });
  const front = placeOf(shownIds, whole);
  const back = whole.length - front - shownIds.length;
  if (pair === undefined) {
    return { ids: whole, first: { start: front, length: first.length }, second: { start: 0, length: 0 } };
  }
  const { ids, types } = tokenizer.encodePair(text, pair);
  return {
    ids,
    types,
    first: { start: front, length: first.length },
    second: { start: ids.length - back - second.length, length: second.length },
  };
}

/** Where a list begins within another; 0 where it is not found. */
function placeOf(part: readonly number[], whole: readonly number[]): number {
  for (let start = 0; start + part.length <= whole.length; start++) {
    if (part.every((id, at) => whole[start + at] === id)) return start;
  }
  return 0;
}

/** How many tokens of either text stay: the longer one is cut until both fit, then both are cut to halves. */
function lengthsWithin(first: number, second: number, room: number): [number, number] {
  const [short, long] = first <= second ? [first, second] : [second, first];
  let [shortKept, longKept] = [short, Math.min(long, Math.max(short, room - short))];
  if (shortKept + longKept > room) {
    shortKept = Math.min(short, Math.floor(Math.max(0, room) / 2));
    longKept = Math.max(0, room) - shortKept;
  }
  return first <= second ? [shortKept, longKept] : [longKept, shortKept];
}
