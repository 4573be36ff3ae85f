import type { Random } from '../../src/common/random.js';
import {
  banks,
  between,
  categories,
  cities,
  colors,
  companies,
  countries,
  departments,
  genres,
  goods,
  jobs,
  materials,
  people,
  pick,
  pickSome,
  rooms,
  sectors,
  statuses,
  subjects,
  titles,
} from './lexicon.js';

/** A column holds words from a list, or numbers from a range in steps. */
export type Column =
  | { readonly kind: 'text'; readonly name: string; readonly values: readonly string[] }
  | {
      readonly kind: 'number';
      readonly name: string;
      readonly low: number;
      readonly high: number;
      readonly step: number;
    };

/** A small table; its first column names the row. */
export interface Table {
  readonly name: string;
  /** What one row is, and several: `employee`, `employees`. */
  readonly one: string;
  readonly many: string;
  readonly columns: readonly Column[];
}

export type Cell = string | number;
export type Row = Readonly<Record<string, Cell>>;

const text = (name: string, values: readonly string[]): Column => ({ kind: 'text', name, values });
const number = (name: string, low: number, high: number, step: number): Column => ({
  kind: 'number',
  name,
  low,
  high,
  step,
});
const table = (name: string, one: string, columns: readonly Column[]): Table => ({
  name,
  one,
  many: name,
  columns,
});

export const tables: readonly Table[] = [
  table('employees', 'employee', [
    text('name', people),
    text('city', cities),
    text('department', departments),
    number('salary', 1800, 6000, 100),
    number('age', 20, 65, 1),
  ]),
  table('products', 'product', [
    text('name', goods),
    text('category', categories),
    text('color', colors),
    number('price', 2, 300, 1),
    number('stock', 0, 90, 1),
  ]),
  table('orders', 'order', [
    text('customer', people),
    text('product', goods),
    text('status', statuses),
    number('quantity', 1, 12, 1),
    number('total', 5, 900, 5),
  ]),
  table('companies', 'company', [
    text('name', companies),
    text('sector', sectors),
    text('country', countries),
    number('revenue', 10, 900, 10),
    number('profit', 1, 90, 1),
  ]),
  table('accounts', 'account', [
    text('owner', people),
    text('bank', banks),
    text('city', cities),
    number('balance', 100, 9900, 50),
    number('year', 1998, 2024, 1),
  ]),
  table('books', 'book', [
    text('title', titles),
    text('author', people),
    text('genre', genres),
    number('pages', 80, 700, 10),
    number('year', 1950, 2024, 1),
  ]),
  table('students', 'student', [
    text('name', people),
    text('subject', subjects),
    text('city', cities),
    number('grade', 1, 10, 1),
    number('age', 10, 25, 1),
  ]),
  table('houses', 'house', [
    text(
      'street',
      ['Mill', 'Church', 'Station', 'Park', 'Garden', 'River', 'School', 'Market'].map((s) => `${s} Street`),
    ),
    text('city', cities),
    text('color', colors),
    number('rooms', 1, 9, 1),
    number('price', 90, 990, 10),
  ]),
  table('workers', 'worker', [
    text('name', people),
    text('job', jobs),
    text('country', countries),
    number('hours', 10, 60, 1),
    number('wage', 10, 80, 1),
  ]),
  table('stocks', 'stock', [
    text('company', companies),
    text('sector', sectors),
    number('price', 5, 400, 1),
    number('volume', 100, 9000, 100),
  ]),
  table('items', 'item', [
    text('name', goods),
    text('material', materials),
    text('room', rooms),
    number('weight', 1, 40, 1),
    number('price', 2, 300, 1),
  ]),
  table('flights', 'flight', [
    text('pilot', people),
    text('origin', cities),
    text('destination', cities),
    number('seats', 40, 300, 10),
    number('fare', 30, 800, 10),
  ]),
];

/** The table with its first column and `count - 1` others, at least one of them a number and one a text. */
export function narrow(rng: Random, whole: Table, count: number): Table {
  const [first, ...others] = whole.columns;
  const words = others.filter((column) => column.kind === 'text');
  const numbers = others.filter((column) => column.kind === 'number');
  const kept = new Set<Column>([first!, pick(rng, words), pick(rng, numbers)]);
  for (const column of pickSome(rng, others, others.length)) if (kept.size < count) kept.add(column);
  return { ...whole, columns: whole.columns.filter((column) => kept.has(column)) };
}

export function textColumns(of: Table): (Column & { kind: 'text' })[] {
  return of.columns.filter((column) => column.kind === 'text');
}

export function numberColumns(of: Table): (Column & { kind: 'number' })[] {
  return of.columns.filter((column) => column.kind === 'number');
}

export function cell(rng: Random, column: Column): Cell {
  if (column.kind === 'text') return pick(rng, column.values);
  return column.low + column.step * between(rng, 0, Math.floor((column.high - column.low) / column.step));
}

/** `count` rows whose first cells differ; the text columns repeat a few values so that questions have answers. */
export function rowsOf(rng: Random, of: Table, count: number): Row[] {
  const [first, ...others] = of.columns;
  const keys = first!.kind === 'text' ? pickSome(rng, first!.values, count) : [];
  const pools = new Map(
    others.map((column) => [column, column.kind === 'text' ? pickSome(rng, column.values, 3) : undefined]),
  );
  return keys.map((key) => {
    const entries = others.map((column): [string, Cell] => {
      const pool = pools.get(column);
      return [column.name, pool ? pick(rng, pool) : cell(rng, column)];
    });
    return Object.fromEntries([[first!.name, key], ...entries]);
  });
}
