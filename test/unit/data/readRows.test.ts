import assert from 'node:assert/strict';
import { mkdirSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import { MAX_LINE_BYTES } from '../../../src/data/lines.js';
import { readRows, readRowsFrom } from '../../../src/data/readRows.js';
import type { ReadRow } from '../../../src/data/row.js';
import { temporaryFolder } from './temporary.js';

const { folder, write } = temporaryFolder();

async function all(rows: AsyncIterable<ReadRow>): Promise<ReadRow[]> {
  const list: ReadRow[] = [];
  for await (const row of rows) list.push(row);
  return list;
}

type Extension = Parameters<typeof readRowsFrom>[2];

/** Rows of a content that arrives in chunks of `chunk` bytes, so that every boundary is crossed. */
function rowsOf(extension: Extension, content: string | Uint8Array, chunk = 3): Promise<ReadRow[]> {
  const bytes = Buffer.from(content);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  }
  return all(readRowsFrom(chunks(), `data${extension}`, extension));
}

async function problem(work: Promise<unknown>): Promise<Problem> {
  const error: unknown = await work.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ProblemError, String(error));
  return error.problem;
}

const brokenLines = (rows: ReadRow[]): number[] => rows.filter((row) => 'reason' in row).map((row) => row.line);
const values = (rows: ReadRow[]): unknown[] => rows.flatMap((row) => ('value' in row ? [row.value] : []));

test('case 82: a byte-order mark, CRLF and blank lines leave rows and line numbers right', async () => {
  const rows = await rowsOf('.jsonl', '\uFEFF{"prompt":"é"}\r\n\r\n  \r\n{"prompt":"b"}\r\n');
  assert.deepEqual(rows, [
    { line: 1, value: { prompt: 'é' } },
    { line: 4, value: { prompt: 'b' } },
  ]);
});

test('case 82: the first CSV column keeps its name after a byte-order mark', async () => {
  const rows = await rowsOf('.csv', '\uFEFFprompt,completion\r\na,b\r\n');
  assert.deepEqual(rows, [{ line: 2, value: { prompt: 'a', completion: 'b' } }]);
});

test('case 82: UTF-16, as PowerShell redirection writes it, is named', async () => {
  const content = Buffer.from('\uFEFF{"a":1}\r\n', 'utf16le');
  for (const extension of ['.jsonl', '.json', '.csv', '.txt'] as const) {
    const { code, message } = await problem(rowsOf(extension, content));
    assert.equal(code, 'data.not-utf8');
    assert.match(message, /UTF-16/);
  }
});

test('case 83: text is UTF-8 whatever the locale; a code point may cross chunks', async () => {
  for (const chunk of [1, 2, 5]) {
    assert.deepEqual(values(await rowsOf('.jsonl', '{"text":"繁體中文 🙂"}\n', chunk)), [{ text: '繁體中文 🙂' }]);
    assert.deepEqual(values(await rowsOf('.json', '[{"text":"繁體中文"}]', chunk)), [{ text: '繁體中文' }]);
  }
});

test('a line in another encoding is a broken row, not garbage', async () => {
  const big5 = Buffer.concat([
    Buffer.from('{"text":"a"}\n{"text":"'),
    Buffer.from([0xa4, 0xa4]),
    Buffer.from('"}\n'),
  ]);
  assert.deepEqual(await rowsOf('.jsonl', big5), [
    { line: 1, value: { text: 'a' } },
    { line: 2, reason: 'invalid UTF-8' },
  ]);
  const whole = Buffer.concat([Buffer.from('[\n{"a":"'), Buffer.from([0xa4]), Buffer.from('"}]')]);
  assert.equal((await problem(rowsOf('.json', whole))).where?.line, 2);
});

test('broken rows are told with their lines and do not stop the rest', async () => {
  const rows = await rowsOf('.jsonl', '{"a":1}\n{"a":\n[1]\n"x"\n{"a":NaN}\n{"a":2}');
  assert.deepEqual(brokenLines(rows), [2, 3, 4, 5]);
  assert.deepEqual(values(rows), [{ a: 1 }, { a: 2 }]);
});

test('JSON: an array or an array under "data", rows with their own lines, broken ones isolated', async () => {
  const array = '[\n  {"a": "x,]}\\""},\n  {"a": oops},\n  7,\n  {"a": {"b": [1, 2]}}\n]\n';
  const expected = [{ a: 'x,]}"' }, { a: { b: [1, 2] } }];
  const rows = await rowsOf('.json', array);
  assert.deepEqual(values(rows), expected);
  assert.deepEqual(
    rows.map((row) => row.line),
    [2, 3, 4, 5],
  );
  assert.deepEqual(brokenLines(rows), [3, 4]);
  const wrapped = await rowsOf('.json', `{"version": {"data": [0]},\n"data": ${array}, "more": 1}`);
  assert.deepEqual(values(wrapped), expected);
  assert.deepEqual(brokenLines(wrapped), [4, 5]);
});

test('JSON that is cut off or goes on after its end says so', async () => {
  assert.deepEqual(brokenLines(await rowsOf('.json', '[{"a":1},\n')), [2]);
  assert.deepEqual(brokenLines(await rowsOf('.json', '[{"a":1}]\n[{"a":2}]')), [2]);
  assert.deepEqual(brokenLines(await rowsOf('.json', '[{"a":1}\n}')), [2]);
});

test('JSON of another shape is named with its keys', async () => {
  const object = await problem(rowsOf('.json', '{"rows": [{"a":1}], "dat": []}'));
  assert.equal(object.code, 'data.json-shape');
  assert.match(object.message, /"rows", "dat"/);
  assert.match(object.mend ?? '', /Rename "dat" to "data"/);
  assert.match((await problem(rowsOf('.json', '{"a":1}\n{"a":2}\n'))).mend ?? '', /\.jsonl/);
  assert.equal((await problem(rowsOf('.json', 'null'))).code, 'data.json-shape');
});

test('CSV: quotes, newlines and delimiters in fields; TSV; wrong field counts are broken rows', async () => {
  const rows = await rowsOf('.csv', 'a,b\n1,"x, ""y""\r\nz"\n\n2\n3,4,5\n6,7\n');
  assert.deepEqual(values(rows), [
    { a: '1', b: 'x, "y"\nz' },
    { a: '6', b: '7' },
  ]);
  assert.deepEqual(
    rows.map((row) => row.line),
    [2, 5, 6, 7],
  );
  assert.deepEqual(brokenLines(rows), [5, 6]);
  assert.deepEqual(values(await rowsOf('.tsv', 'a\tb\n1,2\t3\n')), [{ a: '1,2', b: '3' }]);
});

test('CSV: an unclosed or stray quote costs its own line only', async () => {
  const unclosed = await rowsOf('.csv', 'a,b\n1,"x\n2,y\n3,z\n');
  assert.deepEqual(brokenLines(unclosed), [2]);
  assert.deepEqual(values(unclosed), [
    { a: '2', b: 'y' },
    { a: '3', b: 'z' },
  ]);
  const stray = await rowsOf('.csv', 'a,b\n1,5" pipe\n2,"ok"\n3,6" pipe\n4,z\n');
  assert.deepEqual(brokenLines(stray), [2, 4]);
  assert.deepEqual(values(stray), [
    { a: '2', b: 'ok' },
    { a: '4', b: 'z' },
  ]);
});

test('CSV: a header that names a column twice is refused', async () => {
  const { code, message } = await problem(rowsOf('.csv', 'text,label,text\na,b,c\n'));
  assert.equal(code, 'data.csv-header');
  assert.match(message, /"text" more than once; columns found: "text", "label", "text"/);
});

test('CSV: a column called __proto__ is a column', async () => {
  const [value] = values(await rowsOf('.csv', '__proto__,b\nx,y\n'));
  assert.deepEqual(Object.entries(value as object), [
    ['__proto__', 'x'],
    ['b', 'y'],
  ]);
});

test('plain text: a row per paragraph', async () => {
  assert.deepEqual(await rowsOf('.txt', '\uFEFFone\r\ntwo\r\n\r\n\r\nthree'), [
    { line: 1, value: 'one\ntwo' },
    { line: 5, value: 'three' },
  ]);
});

test('empty files, files of a byte-order mark or of blank lines, and headers alone hold no rows', async () => {
  for (const extension of ['.jsonl', '.json', '.csv', '.txt'] as const) {
    for (const content of ['', '\uFEFF', '\n \r\n\n']) {
      assert.equal((await problem(rowsOf(extension, content))).code, 'data.no-rows', extension + content);
    }
  }
  assert.equal((await problem(rowsOf('.csv', 'a,b\n'))).code, 'data.no-rows');
  assert.equal((await problem(rowsOf('.json', '[]'))).code, 'data.no-rows');
});

test('a file whose rows are all broken is an error with the first reasons', async () => {
  const { code, message, where } = await problem(rowsOf('.jsonl', '\nnope\n[1]\n'));
  assert.equal(code, 'data.all-rows-broken');
  assert.equal(where?.line, 2);
  assert.match(message, /none of the 2 rows.*line 2: not valid JSON.*line 3: an array, not an object/);
});

test('many rows in one line and many columns take time in proportion', { timeout: 30_000 }, async () => {
  const count = 300_000;
  // Were the line breaks or the names looked for in all that follows, each of these would take minutes.
  const rows = await rowsOf('.json', `[${'{},'.repeat(count)}{}]`, 2 ** 20);
  assert.equal(rows.length, count + 1);
  assert.ok(rows.every(({ line }) => line === 1));
  const names = Array.from({ length: count }, (_, i) => `c${i}`).join();
  const [wide] = await rowsOf('.csv', `${names}\n${names}\n`, 2 ** 20);
  assert.ok(wide !== undefined && 'value' in wide);
  assert.equal(Object.keys(wide.value).length, count);
});

test('a 1 GB line fails after the limit, without being read', async () => {
  for (const extension of ['.jsonl', '.csv', '.txt'] as const) {
    let sent = 0;
    const chunk = new Uint8Array(1 << 20).fill(0x61);
    async function* gigabyte(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first\n');
      for (let i = 0; i < 1024; i++) {
        sent += chunk.length;
        yield chunk;
      }
    }
    const { code, where } = await problem(all(readRowsFrom(gigabyte(), 'big', extension)));
    assert.equal(code, 'data.line-too-long');
    assert.equal(where?.line, 2);
    assert.ok(sent <= MAX_LINE_BYTES + chunk.length, `${sent} bytes were read`);
  }
});

test('a sparse 1 GB file fails at once, as JSON lines and as JSON', async () => {
  for (const [name, code] of [
    ['sparse.jsonl', 'data.line-too-long'],
    ['sparse.json', 'data.json-too-large'],
  ] as const) {
    const file = write(name, '');
    truncateSync(file, 2 ** 30);
    assert.equal((await problem(all(readRows(file)))).code, code);
  }
});

test('an unclosed CSV quote before many lines is given up at the limit, and the lines are kept', async () => {
  const long = 'y'.repeat(1 << 20);
  const count = 20;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('a\n"open\n');
    for (let i = 0; i < count; i++) yield Buffer.from(`${long}\n`);
  }
  const rows = await all(readRowsFrom(bytes(), 'big.csv', '.csv'));
  assert.deepEqual(brokenLines(rows), [2]);
  assert.equal(values(rows).length, count);
});

test('a JSON nesting bomb is a broken row', async () => {
  const bomb = '{"a":' + '['.repeat(1_000_000);
  const rows = await rowsOf('.jsonl', `${bomb}\n{"a":1}\n`, 1 << 16);
  assert.deepEqual(brokenLines(rows), [1]);
  assert.match(String(rows[0] && 'reason' in rows[0] && rows[0].reason), /nested deeper/);
  const array = await rowsOf('.json', `[{"a":1},\n${bomb}`, 1 << 16);
  assert.match(String(array[1] && 'reason' in array[1] && array[1].reason), /nested deeper/);
});

test('a missing file is named with its neighbours', async () => {
  write('train.jsonl', '{}');
  const { code, mend } = await problem(all(readRows(path.join(folder, 'trian.jsonl'))));
  assert.equal(code, 'data.not-found');
  assert.match(mend ?? '', /Did you mean "train.jsonl"\? Data files there: .*"train.jsonl"/);
  assert.match((await problem(all(readRows(path.join(folder, 'none', 'x.jsonl'))))).message, /there is no folder/);
});

test('case 81: an unknown extension is named with those read; folders are refused', async () => {
  const { code, expected } = await problem(all(readRows(write('data.xlsx', ''))));
  assert.equal(code, 'data.unknown-extension');
  assert.match(expected ?? '', /\.jsonl.*\.txt/);
  mkdirSync(path.join(folder, 'folder.jsonl'));
  assert.equal((await problem(all(readRows(path.join(folder, 'folder.jsonl'))))).code, 'data.unreadable');
});

test('a file is read from disk', async () => {
  const file = write('ok.JSONL', '{"a":1}\n{"a":2}\n');
  assert.deepEqual(values(await all(readRows(file))), [{ a: 1 }, { a: 2 }]);
});

test('quotes that do not fit a record are told with their line, and the lines around it are read', async () => {
  const rows = await rowsOf('.csv', 'a,b\n1,2\nx"y,3\n"p"q,4\n5,"6 ""7"""\n8,"9');
  assert.deepEqual(
    rows.map((row) => ('reason' in row ? row.reason : Object.values(row.value).join())),
    [
      '1,2',
      'not valid CSV: a quote within a field that has none around it',
      'not valid CSV: text follows a closing quote',
      '5,6 "7"',
      'a quote that opens here is not closed',
    ],
  );
});

test('what cannot be JSON by its first character says so', async () => {
  const rows = await rowsOf('.json', '[{"a":1},,}x,\u00a0{"a":2}]');
  const reasons = rows.flatMap((row) => ('reason' in row ? [row.reason] : []));
  assert.match(reasons[0]!, /not valid JSON: there is nothing/);
  assert.match(
    (await rowsOf('.jsonl', '{"a":1}\n@x\n')).flatMap((row) => ('reason' in row ? [row.reason] : []))[0]!,
    /it starts with "@"/,
  );
});
