import type { Random } from '../../src/common/random.js';
import { between, chance, pick, plural } from './lexicon.js';
import { cell, numberColumns, textColumns } from './tables.js';
import type { Cell, Row, Table } from './tables.js';

export type Aggregate = 'AVG' | 'MAX' | 'MIN' | 'SUM';

/** What a query returns: every column, one column, the number of rows, or one number of a column. */
export type Selection =
  | { readonly kind: 'all' }
  | { readonly kind: 'column'; readonly column: string }
  | { readonly kind: 'count' }
  | { readonly kind: 'aggregate'; readonly of: Aggregate; readonly column: string };

export interface Condition {
  readonly column: string;
  readonly operator: '=' | '>' | '<';
  readonly value: Cell;
}

export interface Ordering {
  readonly column: string;
  readonly direction: 'ASC' | 'DESC';
  readonly limit: number;
}

/** A query on one table, from a grammar small enough for a tiny model. */
export interface Query {
  readonly table: Table;
  readonly select: Selection;
  readonly where?: Condition;
  readonly order?: Ordering;
}

/** The SQL text, without the closing semicolon. */
export function toSql(query: Query): string {
  const { select, where, order } = query;
  const what =
    select.kind === 'all'
      ? '*'
      : select.kind === 'column'
        ? select.column
        : select.kind === 'count'
          ? 'COUNT(*)'
          : `${select.of}(${select.column})`;
  const parts = [`SELECT ${what} FROM ${query.table.name}`];
  if (where) parts.push(`WHERE ${where.column} ${where.operator} ${literal(where.value)}`);
  if (order) parts.push(`ORDER BY ${order.column} ${order.direction} LIMIT ${order.limit}`);
  return parts.join(' ');
}

/** A number as it is, words in single quotes. */
export function literal(value: Cell): string {
  return typeof value === 'number' ? String(value) : `'${value}'`;
}

/** A random query of the grammar on `table`; with `rows`, one that mostly has an answer among them. */
export function randomQuery(rng: Random, table: Table, rows?: readonly Row[]): Query {
  const roll = rng.uniform();
  const column = table.columns[0]!.name;
  const number = pick(rng, numberColumns(table)).name;
  if (roll < 0.2) {
    const order: Ordering = {
      column: number,
      direction: chance(rng, 0.5) ? 'DESC' : 'ASC',
      limit: between(rng, 1, Math.min(9, rows?.length ?? 9)),
    };
    return { table, select: { kind: 'column', column }, order };
  }
  const where = randomCondition(rng, table, rows);
  if (roll < 0.6) {
    const all = chance(rng, 0.15);
    return { table, select: all ? { kind: 'all' } : { kind: 'column', column }, where };
  }
  const filter = chance(rng, 0.75) ? { where } : {};
  if (roll < 0.8) return { table, select: { kind: 'count' }, ...filter };
  const of = pick<Aggregate>(rng, ['AVG', 'MAX', 'MIN', 'SUM']);
  return { table, select: { kind: 'aggregate', of, column: number }, ...filter };
}

/** `text = value` or `number > value`, on any column but the first; text values come from `rows` if given. */
function randomCondition(rng: Random, table: Table, rows?: readonly Row[]): Condition {
  const words = textColumns(table).filter((column) => column !== table.columns[0]);
  if (words.length > 0 && chance(rng, 0.6)) {
    const column = pick(rng, words);
    const value = rows && chance(rng, 0.9) ? pick(rng, rows)[column.name]! : cell(rng, column);
    return { column: column.name, operator: '=', value };
  }
  const column = pick(rng, numberColumns(table));
  return { column: column.name, operator: chance(rng, 0.5) ? '>' : '<', value: cell(rng, column) };
}

/** The answer of `query` on `rows`, one entry per line of the result: whole rows as `a | b`, cells, or one number. */
export function answer(query: Query, rows: readonly Row[]): Cell[] {
  const { where, order, select } = query;
  const kept = rows.filter((row) => where === undefined || holds(where, row[where.column]!));
  if (order) {
    const sign = order.direction === 'ASC' ? 1 : -1;
    kept.sort((a, b) => sign * (Number(a[order.column]) - Number(b[order.column])));
    kept.length = Math.min(kept.length, order.limit);
  }
  if (select.kind === 'count') return [kept.length];
  if (select.kind === 'all')
    return kept.map((row) => query.table.columns.map(({ name }) => row[name]!).join(' | '));
  const cells = kept.map((row) => row[select.column]!);
  if (select.kind === 'column' || cells.length === 0) return cells;
  const numbers = cells.map(Number);
  const sum = numbers.reduce((a, b) => a + b, 0);
  if (select.of === 'SUM') return [sum];
  if (select.of === 'AVG') return [Math.round(sum / numbers.length)];
  return [select.of === 'MAX' ? Math.max(...numbers) : Math.min(...numbers)];
}

function holds(condition: Condition, value: Cell): boolean {
  if (condition.operator === '=') return value === condition.value;
  const difference = Number(value) - Number(condition.value);
  return condition.operator === '>' ? difference > 0 : difference < 0;
}

/** How the corpus says a query in words: `the names of the employees whose city is Rome`. */
export function inWords(rng: Random, query: Query): string {
  const { select, where, order, table } = query;
  const rows = table.many;
  const condition = where ? ` ${conditionInWords(rng, where)}` : '';
  if (order) {
    const most = order.direction === 'DESC' ? ['highest', 'largest'] : ['lowest', 'smallest'];
    const name = table.columns[0]!.name;
    const which =
      order.limit === 1 ? `${name} of the ${table.one}` : `${plural(name)} of the ${order.limit} ${rows}`;
    return `the ${which} with the ${pick(rng, most)} ${order.column}`;
  }
  if (select.kind === 'all') return `all ${rows}${condition}`;
  if (select.kind === 'count') return `the number of ${rows}${condition}`;
  if (select.kind === 'column') return `the ${plural(select.column)} of the ${rows}${condition}`;
  const word = {
    AVG: ['average'],
    MAX: ['highest', 'largest'],
    MIN: ['lowest', 'smallest'],
    SUM: ['total', 'sum of the'],
  };
  return `the ${pick(rng, word[select.of])} ${select.column} of the ${rows}${condition}`;
}

function conditionInWords(rng: Random, condition: Condition): string {
  const { column, operator } = condition;
  const value = chance(rng, 0.4) ? literal(condition.value) : condition.value;
  if (operator === '=') {
    return pick(rng, [
      `whose ${column} is ${value}`,
      `with ${column} ${value}`,
      `where the ${column} is ${value}`,
    ]);
  }
  const word =
    operator === '>' ? pick(rng, ['above', 'over', 'greater than']) : pick(rng, ['below', 'under', 'less than']);
  return pick(rng, [`with ${column} ${word} ${value}`, `whose ${column} is ${word} ${value}`]);
}
