// Makes the quickstart's data, a small text-to-SQL task: `makeData.ts` writes train.jsonl and validation.jsonl beside
// itself. The same seed gives the same bytes. No query of one file is in the other.
import path from 'node:path';
import { writeFileWhole } from '../../src/common/files.js';
import type { Random } from '../../src/common/random.js';
import { random } from '../../src/common/random.js';
import { between, chance, pick, plural } from '../base-model/lexicon.js';
import type { Condition, Query } from '../base-model/query.js';
import { randomQuery, toSql } from '../base-model/query.js';
import { narrow, tables } from '../base-model/tables.js';

const seed = 7;
const trainRows = 600;
const validationRows = 100;

/** The question as the quickstart asks it: `which names have city Rome?` */
function question(rng: Random, { table, select, where, order }: Query): string {
  const condition = where ? ` with ${conditionText(where)}` : '';
  if (order) {
    const name = table.columns[0]!.name;
    const most = order.direction === 'DESC' ? 'highest' : 'lowest';
    if (order.limit === 1) return `which ${name} has the ${most} ${order.column}?`;
    return `which ${order.limit} ${plural(name)} have the ${most} ${order.column}?`;
  }
  if (select.kind === 'all') return `list all ${table.many}${condition}`;
  if (select.kind === 'count') {
    if (!where) return `how many ${table.many} are there?`;
    return `how many ${table.many} have ${conditionText(where)}?`;
  }
  if (select.kind === 'column') {
    const names = plural(select.column);
    return where && chance(rng, 0.6)
      ? `which ${names} have ${conditionText(where)}?`
      : `list the ${names}${condition}`;
  }
  const words = { AVG: 'average', MAX: 'highest', MIN: 'lowest', SUM: 'total' };
  return `what is the ${words[select.of]} ${select.column}${condition}?`;
}

function conditionText({ column, operator, value }: Condition): string {
  return `${column} ${operator === '=' ? '' : operator === '>' ? 'above ' : 'below '}${value}`;
}

const rng = random(seed, 'quickstart');
const rows: string[] = [];
const known = new Set<string>();
while (rows.length < trainRows + validationRows) {
  const table = narrow(rng, pick(rng, tables), between(rng, 3, 4));
  const query = randomQuery(rng, table);
  const sql = toSql(query);
  if (known.has(sql)) continue;
  known.add(sql);
  const columns = table.columns.map((column) => column.name).join(', ');
  const prompt = `table ${table.name}(${columns})\nquestion: ${question(rng, query)}\nsql:`;
  rows.push(JSON.stringify({ prompt, completion: ` ${sql}` }));
}
const write = (name: string, some: readonly string[]): Promise<void> =>
  writeFileWhole(path.join(import.meta.dirname, name), `${some.join('\n')}\n`);
await write('train.jsonl', rows.slice(0, trainRows));
await write('validation.jsonl', rows.slice(trainRows));
console.log(`${trainRows} rows to train on, ${validationRows} to validate.`);
