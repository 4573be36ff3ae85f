import type { Random } from '../../../src/common/random.js';
import { between, capital, chance, joinWords, pick, withArticle } from '../lexicon.js';
import { answer, inWords, literal, randomQuery, toSql } from '../query.js';
import { narrow, rowsOf, tables } from '../tables.js';
import type { Cell, Table } from '../tables.js';

/** A few queries, each under a comment that says what it returns. */
export function commentedQueries(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 4));
  const snippets = Array.from({ length: between(rng, 1, 4) }, () => {
    const query = randomQuery(rng, table);
    return `-- ${inWords(rng, query)}\n${toSql(query)};`;
  });
  return (chance(rng, 0.3) ? [createTable(table), ...snippets] : snippets).join('\n\n');
}

/** A query told in prose, before or after it. */
export function explainedQuery(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 4));
  const query = randomQuery(rng, table);
  const words = inWords(rng, query);
  const sql = `${toSql(query)};`;
  const before = [
    `To find ${words}, write:\n${sql}`,
    `Show ${words}.\n${sql}`,
    `We want to know ${words}. The query is\n${sql}`,
    `${pick(rng, ['Task', 'Goal', 'Request'])}: find ${words}\nAnswer: ${sql}`,
  ];
  const after = [
    `The query ${sql.slice(0, -1)} returns ${words}.`,
    `${sql}\nThis query gives ${words}.`,
    `${sql}\n-- returns ${words}`,
  ];
  return pick(rng, chance(rng, 0.6) ? before : after);
}

/** `CREATE TABLE`, some rows, and queries with their results. */
export function session(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), 3);
  const rows = rowsOf(rng, table, between(rng, 2, 4));
  const inserts = rows.map((row) => {
    const cells = table.columns.map((column) => literal(row[column.name]!));
    return `INSERT INTO ${table.name} VALUES (${cells.join(', ')});`;
  });
  const queries = Array.from({ length: between(rng, 1, 3) }, () => {
    const query = randomQuery(rng, table, rows);
    const result = answer(query, rows);
    return `${toSql(query)};\n${result.length === 0 ? '(no rows)' : result.join('\n')}`;
  });
  return [createTable(table), ...inserts, ...new Set(queries)].join('\n');
}

/** What a SQL keyword or a table is for. */
export function lesson(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 4));
  const [first] = table.columns;
  const names = table.columns.map((column) => column.name);
  const query = randomQuery(rng, table);
  const sentences = [
    `The table ${table.name} has ${names.length} columns: ${joinWords(names)}.`,
    `Each row of ${table.name} is ${withArticle(table.one)} with its ${joinWords(names)}.`,
    `${capital(table.many)} are kept in the table ${table.name}, with the columns ${joinWords(names)}.`,
  ];
  const facts = [
    'SELECT names the columns to return.',
    'FROM names the table.',
    'WHERE keeps the rows for which a condition is true.',
    'ORDER BY sorts the rows; ASC is from low to high and DESC from high to low.',
    'LIMIT returns only the first rows.',
    'COUNT(*) counts the rows.',
    'AVG is the average, SUM the total, MIN the lowest and MAX the highest value.',
    'Words stand in single quotes, numbers do not.',
  ];
  const opening = pick(rng, sentences);
  const example = `For example, ${toSql(query)} returns ${inWords(rng, query)}.`;
  const simple = `SELECT ${first!.name} FROM ${table.name} lists every ${first!.name}.`;
  return `${opening} ${pick(rng, [pick(rng, facts), simple])} ${example}`;
}

/** Statements that change a table. */
export function changes(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), 3);
  const [first, ...others] = table.columns;
  const [row] = rowsOf(rng, table, 1);
  const key = row![first!.name]!;
  const changed = pick(rng, others).name;
  const where = `WHERE ${first!.name} = ${literal(key)}`;
  const value: Cell = row![changed]!;
  return pick(rng, [
    `-- set the ${changed} of ${key} to ${value}\nUPDATE ${table.name} SET ${changed} = ${literal(value)} ${where};`,
    `-- remove ${key} from ${table.name}\nDELETE FROM ${table.name} ${where};`,
    `To remove ${key} from ${table.name}, write DELETE FROM ${table.name} ${where};`,
    `To see ${key}, write SELECT * FROM ${table.name} ${where};`,
  ]);
}

function createTable(table: Table): string {
  const columns = table.columns.map((column) => `${column.name} ${column.kind === 'text' ? 'TEXT' : 'INTEGER'}`);
  return `CREATE TABLE ${table.name} (${columns.join(', ')});`;
}
