import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { parseJson, readBoundedText, readJsonObject } from '../../../src/models/boundedJson.js';
import { problem, temporaryFolder } from './files.js';

const folder = temporaryFolder();
const parse = (text: string, maxDepth?: number) => parseJson(text, { file: 'x.json', code: 'a', maxDepth });

test('JSON is parsed as JSON.parse does', () => {
  const text = '{"a":[1,-2.5e3,true,null],"b":{"a":"\\"}{\\\\"},"":"\\u00e9"}';
  assert.deepEqual(parse(text), JSON.parse(text));
  assert.deepEqual(parse('[{"a":1},{"a":1}]'), [{ a: 1 }, { a: 1 }]);
});

test('a key that occurs twice is named with its place, however it is escaped', () => {
  assert.throws(() => parse('{"a":1,\n "b":2, "a":3}'), problem('a.json', 'x.json:2:9', '"a"', 'twice'));
  assert.throws(() => parse('{"a":1,"\\u0061":2}'), problem('a.json', 'twice'));
  assert.throws(() => parse('{"__proto__":1,"__proto__":2}'), problem('a.json', '__proto__'));
});

test('nesting is refused before anything is built', () => {
  assert.throws(() => parse('['.repeat(5_000_000)), problem('a.json', 'deeper than 64'));
  assert.throws(() => parse('{"a":{"b":{}}}', 2), problem('a.json', 'deeper than 2'));
});

test('broken JSON names the line', () => {
  assert.throws(() => parse('{\n"a": 1,\n"b" 2}'), problem('a.json', 'x.json:3:'));
  assert.throws(() => parse('{"a": "'), problem('a.json', 'not valid'));
  assert.throws(() => parse(''), problem('a.json', 'not valid'));
  assert.throws(() => parse('{"a\\q":1}'), problem('a.json', 'not valid'));
});

test('files: a byte-order mark is no fault, size and kind are checked', async () => {
  const file = path.join(folder, 'a.json');
  await writeFile(file, '\uFEFF{"a":1}');
  assert.deepEqual(await readJsonObject(file, { code: 'a', maxBytes: 100 }), { a: 1 });
  await assert.rejects(readJsonObject(file, { code: 'a', maxBytes: 5 }), problem('a.too-long', 'at most 5'));
  await assert.rejects(readBoundedText(file, { code: 'a', maxBytes: 5 }), problem('a.too-long'));
  await writeFile(file, '[1]');
  await assert.rejects(readJsonObject(file, { code: 'a', maxBytes: 100 }), problem('a.json', 'no JSON object'));
});
