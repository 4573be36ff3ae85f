import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { fixesOf } from '../../../src/language/fixes.js';
import { createLanguage } from '../../../src/language/language.js';
import { largestAnswer, memoryAnswer } from '../../../src/language/memoryAnswer.js';
import type { MemoryAnswer } from '../../../src/language/memoryAnswer.js';
import { NEVER, mended } from './languageSupport.js';
import { documentOf, runText, textAt, workspace, writeLlama } from './modelSupport.js';

const folder = workspace();
const file = path.join(folder, 'a.peft.yaml');
const LORA = '{ type: lora, r: 8 }';
const BATCH = 'training:\n  per_device_train_batch_size: 64 # large\n';

before(() => writeLlama(path.join(folder, 'base')));

const machine = (free: number) => ({ free, total: 2 ** 35, bound: 'machine' as const });

async function asked(text: string, free: number): Promise<MemoryAnswer> {
  const answer = await memoryAnswer({ file, text, machine: machine(free) });
  assert.ok(answer);
  return answer;
}

test('a run that fits: what it needs, and nothing to change', async () => {
  const { need, warning, savings } = await asked(runText(LORA), 2 ** 34);
  assert.ok(need.total > need.anonymous && need.anonymous > 0);
  assert.equal(warning, undefined);
  assert.deepEqual(savings, []);
});

test('of a model whose weights are not there yet the config is enough, and answers are remembered', async () => {
  await mkdir(path.join(folder, 'bare'), { recursive: true });
  await copyFile(path.join(folder, 'base', 'config.json'), path.join(folder, 'bare', 'config.json'));
  const bare = await asked(runText(LORA).replace('./base', './bare'), 2 ** 34);
  const whole = await asked(runText(LORA), 2 ** 34);
  assert.equal(bare.need.anonymous, whole.need.anonymous);
  assert.equal(await asked(runText(LORA).replace('./base', './bare'), 2 ** 34), bare);
});

test('one that does not is warned of at its batch, and every quick fix that suffices makes the warning go', async () => {
  const text = runText(LORA, BATCH, 'train: rows.jsonl, max_length: 64');
  const { need } = await asked(text, 2 ** 34);
  const small = await asked(runText(LORA, BATCH.replace('64', '1'), 'train: rows.jsonl, max_length: 64'), 2 ** 34);
  const free = (need.anonymous + small.need.anonymous) / 2 / 0.9;
  const { warning, savings } = await asked(text, free);
  assert.ok(warning?.where);
  assert.equal(warning.code, 'memory.too-large');
  assert.match(warning.message, /^with rows of 64 tokens \(`data.max_length`\) the run/);
  assert.equal(textAt(text, warning), '64');
  const fixes = fixesOf(documentOf(folder, text), warning);
  assert.equal(fixes.length, savings.length);
  assert.deepEqual(
    fixes.map(({ preferred }) => preferred),
    fixes.map((_, at) => at === 0),
  );
  const sufficient = savings.filter(({ suffices }) => suffices);
  assert.ok(
    sufficient.some(({ name }) => /^Batch \d+ × \d+$/.test(name)),
    JSON.stringify(savings),
  );
  for (const [at, { suffices }] of savings.entries()) {
    const after = mended(text, fixes[at]!);
    assert.match(after, / # large/);
    const left = await asked(after, free);
    assert.equal(left.warning?.code === 'memory.too-large', !suffices, after);
  }
});

test('where the batch is not written, the warning is at the model', async () => {
  const text = runText(LORA);
  const { warning } = await asked(text, 1);
  assert.equal(textAt(text, warning!), './base');
});

test('what other checks tell is not told: errors, a missing model, a method that the model refuses', async () => {
  for (const text of [
    runText('{ type: lora, r: many }'),
    runText(LORA).replace('./base', './none'),
    runText('{ type: lora, target_modules: [q_porj] }'),
  ]) {
    assert.equal(await memoryAnswer({ file, text, machine: machine(1) }), undefined, text);
  }
});

test('a question that nobody asks any more ends', async () => {
  const abort = new AbortController();
  const text = runText(LORA, BATCH);
  const answer = memoryAnswer({ file, text, machine: machine(12345) }, abort.signal);
  abort.abort();
  await assert.rejects(answer, { name: 'AbortError' });
});

test('how large a quantity may be: the batch that fits, and none where nothing does', async () => {
  const question = { file, text: runText(LORA), machine: machine(2 ** 30) };
  const at = ['training', 'per_device_train_batch_size'];
  const found = (await largestAnswer(question, at, 'batch'))!;
  assert.ok(found.largest > 8 && found.decides > 0 && found.decides < found.peak);
  const fits = await asked(
    runText(LORA, `training: { per_device_train_batch_size: ${found.largest} }\n`),
    2 ** 30,
  );
  assert.notEqual(fits.warning?.code, 'memory.too-large');
  const more = await asked(
    runText(LORA, `training: { per_device_train_batch_size: ${found.largest + 1} }\n`),
    2 ** 30,
  );
  assert.equal(more.warning?.code, 'memory.too-large');
  const none = await largestAnswer({ ...question, machine: machine(1) }, ['method', 0, 'r'], 'rank');
  assert.equal(none?.largest, 0);
});

test('the editor’s limit is the memory there is, and hovers tell what an option decides', async () => {
  const language = createLanguage({ memoryLimit: () => 5000 });
  const text = runText(LORA, BATCH);
  assert.ok(parseRunFile(text, file).config);
  const answer = await language.memory({ file, text }, NEVER);
  assert.deepEqual(answer?.machine, { free: 5000, total: 5000, bound: 'limit' });
  const hover = await language.memoryHover({ file, text }, text.indexOf('per_device'), NEVER);
  assert.match(
    hover ?? '',
    /^\*\*Memory\*\*: The batch decides .* at the peak \(.*\)\. 4.9 KiB is the limit that is set: no value is small enough\.$/,
  );
  assert.equal(await language.memoryHover({ file, text }, text.indexOf('model'), NEVER), undefined);
});
