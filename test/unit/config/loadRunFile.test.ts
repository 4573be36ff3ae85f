import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Problem } from '../../../src/common/problem.js';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import { span } from './support.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'peft-config-'));
  await mkdir(path.join(folder, 'base-model'));
  await mkdir(path.join(folder, 'data'));
  await Promise.all(
    ['tiny.gguf', 'model.safetensors', 'data/train.jsonl', 'data/dev.jsonl'].map((name) =>
      writeFile(path.join(folder, name), '{}\n'),
    ),
  );
});
after(() => rm(folder, { recursive: true }));

const TEXT = 'model: ./base-model\ndata:\n  train: data/train.jsonl\nmethod: {type: lora}\n';

async function load(content: string | Uint8Array, overrides: string[] = [], name = 'news.peft.yaml') {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return loadRunFile(file, overrides);
}

async function only(content: string | Uint8Array, overrides: string[] = []): Promise<Problem> {
  const { run, problems } = await load(content, overrides);
  assert.equal(run, undefined);
  assert.equal(problems.length, 1, JSON.stringify(problems, null, 2));
  const [problem] = problems;
  assert.ok(problem);
  return problem;
}

describe('loadRunFile', () => {
  it("resolves paths from the run file's folder and names the run after the file", async () => {
    const { run, problems } = await load(`\uFEFF${TEXT.replaceAll('\n', '\r\n')}`, [
      'data.validation=data/dev.jsonl',
    ]);
    assert.deepEqual(problems, []);
    assert.ok(run);
    assert.equal(run.config.model, path.join(folder, 'base-model'));
    assert.equal(run.config.data.train, path.join(folder, 'data', 'train.jsonl'));
    assert.equal(run.config.data.validation, path.join(folder, 'data', 'dev.jsonl'));
    assert.deepEqual(run.config.output, { dir: path.join(folder, 'runs'), name: 'news' });
    assert.equal(run.folder, folder);
    assert.ok(Object.isFrozen(run.config.data) && Object.isFrozen(run.config.output));
  });

  it('takes a .gguf file and a list of data files', async () => {
    const { run, problems } = await load(TEXT, [
      'model=tiny.gguf',
      'data.train=[data/train.jsonl, data/dev.jsonl]',
    ]);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      run?.config.data.train,
      ['train', 'dev'].map((name) => path.join(folder, 'data', `${name}.jsonl`)),
    );
  });

  it('gives warnings with the run', async () => {
    const { run, problems } = await load(TEXT, ['method.target_modules=layers.1.q_proj']);
    assert.ok(run);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['config.unescaped-dot'],
    );
  });

  it('★ 85: a missing folder is a missing folder, with its near sibling', async () => {
    const problem = await only(TEXT.replace('./base-model', './base_model'));
    assert.equal(problem.code, 'config.folder-not-found');
    assert.equal(problem.message, 'the model folder `./base_model` was not found');
    assert.equal(problem.mend, `Did you mean \`${path.join(folder, 'base-model')}\`?`);
    assert.equal(span(problem), '1:8-1:20');
  });

  it('★ 85: ids of the hub stay as they are; a missing path in a folder that is there is a path', async () => {
    const { run, problems } = await load(TEXT, [
      'model=org/model-7b',
      'data.train=[data/train.jsonl, org/set/config:train]',
      'data.validation=org/set:validation',
    ]);
    assert.deepEqual(problems, []);
    assert.equal(run?.config.model, 'org/model-7b');
    assert.deepEqual(run?.config.data.train, [path.join(folder, 'data/train.jsonl'), 'org/set/config:train']);
    assert.equal(run?.config.data.validation, 'org/set:validation');
    assert.match(
      (await only(TEXT.replace('./base-model', 'data/model-7b'))).mend ?? '',
      /write `data\/model-7b@main`/,
    );
    assert.match((await only(TEXT, ['data.train=data/set:train'])).mend ?? '', /write `data\/set@main`/);
    assert.doesNotMatch((await only(TEXT.replace('./base-model', './lora-out'))).mend ?? '', /hub/);
    assert.equal((await load(TEXT, ['model=data/model-7b@main'])).run?.config.model, 'data/model-7b@main');
  });

  it('names the part of a path that is missing', async () => {
    const problem = await only(TEXT.replace('data/train', 'dta/train'));
    assert.equal(problem.code, 'config.file-not-found');
    assert.match(problem.message, /has no `dta`/);
    assert.equal(problem.mend, `Did you mean \`${path.join(folder, 'data')}\`?`);
    assert.equal(span(problem), '3:10-3:25');
  });

  it('refuses the wrong kind: a weight file as model, a folder as data, a file as output', async () => {
    const weights = await only(TEXT, ['model=model.safetensors']);
    assert.deepEqual([weights.code, weights.where?.file], ['config.not-a-model', '--set model=model.safetensors']);
    assert.match(weights.mend ?? '', /folder that holds it: `\.`/);
    assert.equal((await only(TEXT, ['data.train=data'])).code, 'config.not-a-file');
    assert.equal((await only(TEXT, ['output.dir=tiny.gguf/runs'])).code, 'config.not-a-folder');
    assert.equal((await load(TEXT, ['output.dir=new/deep/folder'])).problems.length, 0);
  });

  it('reports missing files beside other errors', async () => {
    const { problems } = await load(TEXT.replace('data/train', 'data/tarin').replace('lora', 'loar'));
    assert.deepEqual(problems.map(({ code }) => code).sort(), ['config.file-not-found', 'config.unknown-value']);
  });

  it('refuses what is no run file', async () => {
    assert.equal((await only(Buffer.from(TEXT, 'utf16le'))).code, 'config.not-utf8');
    assert.equal((await only(Buffer.from(`\uFEFF${TEXT}`, 'utf16le'))).code, 'config.not-utf8');
    assert.equal((await only(Buffer.alloc(1_000_001, 32))).code, 'config.too-large');
    const { problems } = await loadRunFile(path.join(folder, 'none.peft.yaml'));
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['config.file-not-found'],
    );
    assert.equal((await loadRunFile(folder)).problems[0]?.code, 'config.unreadable');
  });
});
