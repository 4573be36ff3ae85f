import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { random } from '../../../src/common/random.js';
import { settleFormat, rowContent } from '../../../src/data/formats.js';
import { parquetRows } from '../../../src/data/parquetRows.js';
import { readRows } from '../../../src/data/readRows.js';
import type { ReadRow } from '../../../src/data/row.js';
import { fixture } from '../../support/fixtures.js';
import { problem } from '../models/files.js';
import { temporaryFolder } from './temporary.js';

const { write } = temporaryFolder();
const ROWS = JSON.parse(readFileSync(fixture('parquet/rows.json'), 'utf8')) as Record<string, unknown>[];

async function all(rows: AsyncIterable<ReadRow>): Promise<ReadRow[]> {
  const read: ReadRow[] = [];
  for await (const row of rows) read.push(row);
  return read;
}

const numbered = (rows: readonly Record<string, unknown>[]) => rows.map((value, at) => ({ line: at + 1, value }));

for (const name of ['none', 'snappy', 'gzip', 'zstd', 'brotli', 'v2', 'plain']) {
  test(`pyarrow's rows, whatever the compression and the pages: ${name}`, async () => {
    assert.deepEqual(await all(readRows(fixture(`parquet/${name}.parquet`))), numbered(ROWS));
  });
}

test('delta encodings', async () => {
  const some = ROWS.map(({ id, prompt, completion }) => ({ id, prompt, completion }));
  assert.deepEqual(await all(readRows(fixture('parquet/delta.parquet'))), numbered(some));
});

test('row groups one after the other; whoever ends early closes the file', async () => {
  const rows = await all(readRows(fixture('parquet/long.parquet')));
  assert.deepEqual([rows.length, rows[0], rows[299], rows[300], rows[999]].flat(), [
    1000,
    { line: 1, value: { text: 'line 0' } },
    { line: 300, value: { text: 'line 299' } },
    { line: 301, value: { text: 'line 300' } },
    { line: 1000, value: { text: 'line 999' } },
  ]);
  const reading = parquetRows(fixture('parquet/long.parquet'));
  await reading.next();
  assert.deepEqual(await reading.return(undefined), { done: true, value: undefined });
});

test('rows are those of the formats: messages are a conversation, bytes are no text', async () => {
  const rows = await all(readRows(fixture('parquet/snappy.parquet')));
  const values = rows.flatMap((row) => ('value' in row ? [row.value] : []));
  assert.equal(settleFormat(values, 'auto', {}, 'file'), 'prompt_completion');
  assert.deepEqual(rowContent('chat', {}, values[3]!), {
    kind: 'chat',
    messages: [
      { role: 'user', content: '3?' },
      { role: 'assistant', content: '3' },
    ],
  });
  assert.deepEqual(rowContent('chat', {}, values[2]!), { reason: 'message 2: "content" is null, not text' });
  assert.deepEqual(rowContent('text', { text: 'bytes' }, values[0]!), {
    reason: '"bytes" is an object, not text',
  });
  assert.deepEqual(rowContent('text', { text: 'bytes' }, values[1]!), { kind: 'text', text: 'plain text' });
  assert.deepEqual(rowContent('text', { text: 'prompt' }, values[4]!), { reason: '"prompt" is null, not text' });
});

test('files that are none, empty, cut off, or compressed with what is not read', async () => {
  const read = (name: string, bytes: string | Uint8Array) => all(readRows(write(name, bytes)));
  const whole = readFileSync(fixture('parquet/none.parquet'));
  await assert.rejects(
    read('text.parquet', 'a,b,c\n1,2,3\n4,5,6\n'),
    problem('data.parquet', 'text.parquet', 'does not end as'),
  );
  await assert.rejects(read('short.parquet', 'PAR1'), problem('data.parquet', '4 bytes'));
  await assert.rejects(read('cut.parquet', whole.subarray(0, -9)), problem('data.parquet', 'does not end as'));
  await assert.rejects(
    read('crypt.parquet', Buffer.concat([whole.subarray(0, -4), Buffer.from('PARE')])),
    problem('data.parquet', 'encrypted'),
  );
  const footless = Buffer.concat([whole.subarray(0, 100), whole.subarray(-8)]);
  await assert.rejects(read('footless.parquet', footless), problem('data.parquet', 'footer'));
  const huge = Buffer.from(whole);
  huge.writeUInt32LE(2 ** 31, huge.length - 8);
  await assert.rejects(read('huge.parquet', huge), problem('data.parquet', 'at most'));
  await assert.rejects(all(readRows(fixture('parquet/empty.parquet'))), problem('data.no-rows'));
  await assert.rejects(
    all(readRows(fixture('parquet/lz4.parquet'))),
    problem('data.parquet-codec', 'lz4.parquet:1', 'LZ4', "compression='zstd'"),
  );
});

test('a broken page names the rows of its group; those before it are read', async () => {
  const bytes = readFileSync(fixture('parquet/long.parquet'));
  // Each group of 300 rows has two Zstandard frames, for its dictionary and its indices: the third is changed.
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  let at = -1;
  for (let frames = 0; frames < 3; frames++) at = bytes.indexOf(frame, at + 1);
  bytes.fill(0xff, at, at + 40);
  const rows: ReadRow[] = [];
  const reading = async (): Promise<void> => {
    for await (const row of readRows(write('page.parquet', bytes))) rows.push(row);
  };
  await assert.rejects(reading(), problem('data.parquet', 'page.parquet:301:', 'rows 301 to 600 cannot be read'));
  assert.equal(rows.length, 300);
});

test('damage of any kind is a problem or other rows, never a crash, and takes bounded time and memory', async () => {
  const generator = random(5, 'damage');
  const names = ['none', 'v2', 'plain', 'delta', 'gzip', 'zstd', 'snappy'];
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 150; round++) {
    const bytes = readFileSync(fixture(`parquet/${names[round % names.length]}.parquet`));
    for (let changes = 1 + generator.integer(4); changes > 0; changes--) {
      const at =
        generator.integer(2) === 0
          ? generator.integer(bytes.length)
          : bytes.length - 1 - (generator.integer(3000) % bytes.length);
      bytes[at] = generator.integer(256);
    }
    const file = write(`damaged.parquet`, bytes);
    const outcome = await all(readRows(file)).then(
      () => 'rows',
      (error: unknown) => (error instanceof ProblemError ? error.problem.code : Promise.reject(error)),
    );
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assert.ok((outcomes.get('rows') ?? 0) > 10, 'some survive');
  assert.ok((outcomes.get('data.parquet') ?? 0) > 10, 'some do not');
});

test('runs that claim more values than there can be are refused before they are decoded', async () => {
  const bytes = readFileSync(fixture('parquet/none.parquet'));
  // The definition levels of the first page: a length of two bytes, then a run of 4 values (twice the count) of 1.
  const at = bytes.indexOf(Buffer.from([2, 0, 0, 0, 10, 1]));
  const levels = at >= 0 ? at : bytes.indexOf(Buffer.from([2, 0, 0, 0]));
  assert.ok(levels > 0);
  bytes.writeUInt32LE(6, levels);
  bytes.set([0xfe, 0xff, 0xff, 0xff, 0x0f, 1], levels + 4);
  await assert.rejects(
    all(readRows(write('bomb.parquet', bytes))),
    problem('data.parquet', 'a run of 2147483647 values'),
  );
});
