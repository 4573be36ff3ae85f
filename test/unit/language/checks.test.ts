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

test('options of HF PEFT that change nothing are ignored with a warning, those that would are refused', () => {
  const found = (method: string): readonly string[] =>
    language
      .checkText({ file, text: `model: a\ndata: { train: b }\nmethod: { ${method} }\n` })
      .map(({ code, severity = 'error' }) => `${severity} ${code}`);
  for (const [type, peft] of [
    ['lora', 'LORA'],
    ['adalora', 'ADALORA'],
    ['prompt_tuning', 'PROMPT_TUNING'],
  ]) {
    const harmless = `type: ${type}, peft_type: ${peft}, task_type: CAUSAL_LM, inference_mode: false`;
    assert.deepEqual(found(harmless), Array(3).fill('warning config.ignored-key'), type);
    assert.deepEqual(found(`type: ${type}, task_type: SEQ_CLS`), ['error config.unsupported-key'], type);
  }
  for (const type of ['adalora', 'mora', 'dylora', 'lokr', 'ia3']) {
    assert.deepEqual(found(`type: ${type}, use_dora: true`), ['error config.unsupported-key'], type);
    assert.deepEqual(found(`type: ${type}, use_dora: false`), ['warning config.ignored-key'], type);
  }
  assert.deepEqual(found('type: prompt_tuning, num_transformer_submodules: 1'), ['warning config.ignored-key']);
});
