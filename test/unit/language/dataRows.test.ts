import assert from 'node:assert/strict';
import { open, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { columnsOf, firstRows } from '../../../src/language/dataRows.js';
import { fixture } from '../../support/fixtures.js';
import { ROWS, workspace } from './modelSupport.js';

const folder = workspace();
const at = (name: string): string => path.join(folder, name);

test('of a large file only the first rows are read; its end is no broken row', async () => {
  const row = (index: number): string => `{"text":"${String(index).padStart(100_000, 'ä')}"}`;
  const lines = Array.from({ length: 12 }, (_, index) => row(index));
  await writeFile(at('large.jsonl'), lines.join('\n'));
  await writeFile(at('large.json'), `[${lines.join(',\n')}]`);
  for (const name of ['large.jsonl', 'large.json']) {
    const first = await firstRows(at(name));
    // 200 kB a row: 5 whole ones in a MiB.
    assert.equal(first?.rows.length, 5, name);
    assert.deepEqual([first.broken, first.count, first.problem], [[], undefined, undefined]);
  }
});

test('what lies behind the first MiB is never read: a hole of 64 GiB takes no time', async () => {
  const handle = await open(at('hole.jsonl'), 'w');
  await handle.write(ROWS);
  await handle.truncate(64 * 2 ** 30);
  await handle.close();
  const first = await firstRows(at('hole.jsonl'));
  assert.equal(first?.bytes, 64 * 2 ** 30);
  assert.equal(first.rows.length, 4);
});

test('a small file is read to its end: rows and those that are broken are counted', async () => {
  await writeFile(at('small.jsonl'), `${ROWS.repeat(20)}nothing\n`);
  const first = await firstRows(at('small.jsonl'));
  assert.deepEqual([first?.count, first?.rows.length], [81, 32]);
  await writeFile(at('broken.csv'), 'a,b\n1,2\n"x\n');
  assert.equal((await firstRows(at('broken.csv')))?.broken[0]?.line, 3);
});

test('a file is read again when its time or size is another, and only then', async () => {
  await writeFile(at('kept.jsonl'), '{"a":1}\n');
  await utimes(at('kept.jsonl'), 1, 1);
  const first = await firstRows(at('kept.jsonl'));
  assert.equal(await firstRows(at('kept.jsonl')), first);
  await writeFile(at('kept.jsonl'), '{"b":1}\n');
  await utimes(at('kept.jsonl'), 2, 2);
  assert.deepEqual(columnsOf((await firstRows(at('kept.jsonl')))?.rows ?? []), ['b']);
});

test('Parquet, and what is no data file', async () => {
  const parquet = await firstRows(fixture('parquet', 'plain.parquet'));
  assert.ok((parquet?.rows.length ?? 0) > 0);
  assert.ok(columnsOf(parquet!.rows).length > 0);
  await writeFile(at('rows.docx'), 'x');
  assert.equal((await firstRows(at('rows.docx')))?.problem?.code, 'data.unknown-extension');
  await writeFile(at('empty.jsonl'), '');
  assert.equal((await firstRows(at('empty.jsonl')))?.problem?.code, 'data.no-rows');
  assert.equal(await firstRows(at('none.jsonl')), undefined);
  assert.equal(await firstRows(folder), undefined);
});
