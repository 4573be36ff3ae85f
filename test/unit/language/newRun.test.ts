import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { ProblemError, isError } from '../../../src/common/problem.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { newRunFiles } from '../../../src/language/newRun.js';
import { ROWS, workspace, writeLlama } from './modelSupport.js';

const folder = workspace();
const work = path.join(folder, 'work');
const other = path.join(folder, 'other');
const { signal } = new AbortController();

before(async () => {
  await writeLlama(path.join(work, 'base'));
  await writeLlama(path.join(other, 'big'));
  await mkdir(path.join(other, 'rows'), { recursive: true });
  await writeFile(path.join(work, 'train.jsonl'), ROWS);
  await writeFile(path.join(other, 'rows', 'more.jsonl'), ROWS);
  await writeFile(path.join(work, 'lora.peft.yaml'), '');
});

test('models and data of the folder come before those of the workspace’s other folders', async () => {
  const models = await newRunFiles.models(work, { folders: [work, other], modelFolders: [] }, signal);
  assert.deepEqual(
    models.map(({ text }) => text),
    ['./base', '../other/big'],
  );
  const data = await newRunFiles.data(work, [work, other], signal);
  assert.deepEqual(
    data.map(({ text }) => text),
    ['train.jsonl', '../other/rows/more.jsonl'],
  );
});

test('every method that trains by itself is offered, groups together, and its run file validates', async () => {
  const methods = newRunFiles.methods();
  const groups = methods.map(({ group }) => group);
  const changes = groups.filter((group, at) => at > 0 && group !== groups[at - 1]).length;
  assert.equal(changes, new Set(groups).size - 1);
  assert.ok(methods.some(({ type }) => type === 'lora'));
  assert.ok(!methods.some(({ type }) => type === 'child_tuning'));
  const file = path.join(work, 'new.peft.yaml');
  for (const { type } of methods) {
    const text = await newRunFiles.text(file, { model: './base', train: 'train.jsonl', method: type });
    assert.deepEqual(parseRunFile(text, file).problems.filter(isError), [], type);
  }
});

test('a rank fits the model that is there; one that cannot be read is left to the run', async () => {
  const base = path.resolve(import.meta.dirname, '../../../examples/base-model/peft-studio-tiny');
  const file = path.join(work, 'new.peft.yaml');
  const textOn = (model: string): Promise<string> =>
    newRunFiles.text(file, { model, train: 'train.jsonl', method: 'galore' });
  assert.match(await textOn(base), /^ {2}rank: 32$/m);
  await mkdir(path.join(work, 'no-model'), { recursive: true });
  for (const model of ['./no-model', 'some/model']) assert.match(await textOn(model), /^ {2}rank: 128$/m);
});

test('what is not there is refused before anything is written', async () => {
  const file = path.join(work, 'new.peft.yaml');
  await assert.rejects(
    newRunFiles.text(file, { model: './base', train: 'gone.jsonl', method: 'lora' }),
    (error: unknown) => error instanceof ProblemError && /gone\.jsonl/.test(error.problem.message),
  );
});

test('a name is checked: ending, characters, and that nothing is there', async () => {
  assert.equal(await newRunFiles.checkName('new.peft.yaml', work), undefined);
  assert.match((await newRunFiles.checkName('lora.peft.yaml', work)) ?? '', /exists already/);
  assert.match((await newRunFiles.checkName('new.yaml', work)) ?? '', /ends in \.peft\.yaml/);
  assert.match((await newRunFiles.checkName('.peft.yaml', work)) ?? '', /ends in/);
  assert.match((await newRunFiles.checkName('a/b.peft.yaml', work)) ?? '', /has no/);
  assert.equal(await newRunFiles.freeName('lora', work), 'lora-2.peft.yaml');
  assert.equal(await newRunFiles.freeName('prompt_tuning', work), 'prompt-tuning.peft.yaml');
});

test('ids of the hub and paths that were browsed to', () => {
  assert.equal(newRunFiles.checkId('org/name'), undefined);
  assert.match(newRunFiles.checkId('no id') ?? '', /Not an id/);
  assert.equal(newRunFiles.written('model', path.join(work, 'm'), work), './m');
  assert.equal(newRunFiles.written('data', path.join(work, 'a.csv'), work), 'a.csv');
});
