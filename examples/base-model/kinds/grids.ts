import type { Random } from '../../../src/common/random.js';
import { between, capital, chance, joinWords, pick, plural, spell } from '../lexicon.js';
import { answer, inWords, randomQuery } from '../query.js';
import { narrow, numberColumns, rowsOf, tables, textColumns } from '../tables.js';
import type { Row, Table } from '../tables.js';

/** A small table in one of several notations, followed by questions and their answers. */
export function tableWithQuestions(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 4));
  const rows = rowsOf(rng, table, between(rng, 2, 5));
  const style = pick(rng, ['Q: % A: #', 'Question: %\nAnswer: #', '% #', '- % #']);
  const asked = Array.from({ length: between(rng, 1, 4) }, () => {
    const [question, reply] = questionAbout(rng, table, rows);
    return style.replace('%', question).replace('#', reply);
  });
  return `${writeTable(rng, table, rows)}\n\n${[...new Set(asked)].join('\n')}`;
}

/** Rows told as sentences, each column in turn. */
export function tableInProse(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 4));
  const [first, ...others] = table.columns;
  const rows = rowsOf(rng, table, between(rng, 1, 4));
  const form = rng.integer(3);
  return rows
    .map((row) => {
      const name = row[first!.name]!;
      if (form === 0)
        return table.columns.map((column) => `The ${column.name} is ${row[column.name]!}.`).join(' ');
      if (form === 1) {
        const parts = others.map((column) => `the ${column.name} is ${row[column.name]!}`);
        return `For the ${table.one} ${name}, ${joinWords(parts)}.`;
      }
      const parts = others.map((column) => `${column.name} ${row[column.name]!}`);
      return `${name} is in the table ${table.name}, with ${joinWords(parts)}.`;
    })
    .join('\n');
}

/** One row as a record, and a question on one of its cells. */
export function record(rng: Random): string {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 5));
  const [row] = rowsOf(rng, table, 1);
  const cells = table.columns.map((column): [string, string | number] => [column.name, row![column.name]!]);
  const column = pick(rng, table.columns).name;
  const written = pick(rng, [
    JSON.stringify(Object.fromEntries(cells)),
    cells.map(([name, value]) => `${name}: ${value}`).join('\n'),
    cells.map(([name, value]) => `${name} = ${value}`).join(', '),
    cells.map(([name, value]) => `${name}: ${value}`).join('; '),
  ]);
  return `${written}\n${pick(rng, [
    `What is the ${column}? ${row![column]!}`,
    `The ${column} of this ${table.one} is ${row![column]!}.`,
    `${capital(column)}? It is ${row![column]!}.`,
  ])}`;
}

function writeTable(rng: Random, table: Table, rows: readonly Row[]): string {
  const names = table.columns.map((column) => column.name);
  const lines = (separator: string): string[] =>
    [names, ...rows.map((row) => names.map((name) => String(row[name]!)))].map((cells) => cells.join(separator));
  const roll = rng.uniform();
  if (roll < 0.35) return lines(' | ').join('\n');
  if (roll < 0.6) return lines(',').join('\n');
  if (roll < 0.8) {
    const [head, ...body] = lines(' | ').map((line) => `| ${line} |`);
    return [head!, `|${' --- |'.repeat(names.length)}`, ...body].join('\n');
  }
  return `${capital(table.many)}:\n${rows
    .map((row) => `- ${names.map((name) => `${name} ${row[name]!}`).join(', ')}`)
    .join('\n')}`;
}

function questionAbout(rng: Random, table: Table, rows: readonly Row[]): [question: string, reply: string] {
  const [first] = table.columns;
  const row = pick(rng, rows);
  const name = row[first!.name]!;
  const roll = rng.uniform();
  if (roll < 0.35) {
    const column = pick(rng, table.columns.slice(1)).name;
    return [`What is the ${column} of ${name}?`, String(row[column]!)];
  }
  if (roll < 0.5) {
    const column = pick(rng, numberColumns(table)).name;
    const most = chance(rng, 0.5);
    const sorted = [...rows].sort((a, b) => Number(a[column]) - Number(b[column]));
    const best = most ? sorted.at(-1)! : sorted[0]!;
    return [
      `Which ${first!.name} has the ${most ? 'highest' : 'lowest'} ${column}?`,
      `${best[first!.name]!}, with ${best[column]!}.`,
    ];
  }
  if (roll < 0.75) {
    const column = pick(rng, textColumns(table).slice(1)).name;
    const same = rows.filter((other) => other[column] === row[column]);
    if (chance(rng, 0.5)) {
      const verb = same.length === 1 ? 'has' : 'have';
      return [
        `How many ${table.many} have the ${column} ${row[column]!}?`,
        `${capital(spell(same.length))} ${verb}.`,
      ];
    }
    return [
      `Which ${plural(table.one)} have the ${column} ${row[column]!}?`,
      `${joinWords(same.map((other) => String(other[first!.name]!)))}.`,
    ];
  }
  const query = randomQuery(rng, table, rows);
  const result = answer(query, rows);
  return [`Give ${inWords(rng, query)}.`, result.length === 0 ? 'There are none.' : result.join(', ')];
}
