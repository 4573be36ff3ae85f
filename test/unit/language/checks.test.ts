import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { language, NEVER } from './languageSupport.js';
import { workspace } from './modelSupport.js';

const folder = workspace();
const file = path.join(folder, 'a.peft.yaml');

test('the text alone is checked without the disk', () => {
  const text = 'model: ./gone\ndata: { train: gone.jsonl }\nmethod: { type: lora, r: 0, rnk: 1 }\n';
  const found = language.checkText({ file, text }).map(({ code, where }) => `${code} ${where?.line}`);
  assert.deepEqual(found, ['config.out-of-range 3', 'config.unknown-key 3']);
});

test('the same text is asked about in any order, and another text is another', () => {
  const open = (r: number): { file: string; text: string } => ({
    file,
    text: `model: a\ndata: { train: b }\nmethod: { type: lora, r: ${r} }\n`,
  });
  assert.deepEqual(language.checkText(open(0)), language.checkText(open(0)));
  assert.deepEqual(language.checkText(open(1)), []);
  assert.equal(language.checkText(open(0)).length, 1);
});

test('files that are not there are told at their places', async () => {
  await writeFile(path.join(folder, 'rows.jsonl'), '{"text":"a"}\n');
  const text = 'model: ./gone\ndata: { train: [rows.jsonl, gone.jsonl] }\nmethod: { type: lora }\n';
  const found = await language.checkPlaces({ file, text }, NEVER);
  const shown = found.map(({ where }) =>
    text.split('\n')[where!.line! - 1]!.slice(where!.column! - 1, where!.endColumn! - 1),
  );
  assert.deepEqual(shown.sort(), ['./gone', 'gone.jsonl']);
});

test('a check of the disk that nobody waits for ends', async () => {
  const abort = new AbortController();
  abort.abort();
  await assert.rejects(
    language.checkPlaces(
      { file, text: 'model: ./gone\ndata: { train: b }\nmethod: { type: lora }\n' },
      abort.signal,
    ),
    { name: 'AbortError' },
  );
});
