import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { dataIdAt, modelIdAt, modelIdText, parseDataId, parseModelId } from '../../../../src/models/hub/ids.js';
import { temporaryFolder } from '../files.js';

const folder = temporaryFolder();

test('ids of models: with a revision, with a GGUF file', () => {
  assert.deepEqual(parseModelId('HuggingFaceTB/SmolLM2-135M'), { repo: 'HuggingFaceTB/SmolLM2-135M' });
  assert.deepEqual(parseModelId('Qwen/Qwen2.5-0.5B@v1.0'), { repo: 'Qwen/Qwen2.5-0.5B', revision: 'v1.0' });
  assert.deepEqual(parseModelId('a/b@refs/pr/3'), { repo: 'a/b', revision: 'refs/pr/3' });
  assert.deepEqual(parseModelId('a/b@topic%2Fone'), { repo: 'a/b', revision: 'topic/one' });
  assert.deepEqual(parseModelId('a/b/c-Q4_K_M.gguf'), { repo: 'a/b', file: 'c-Q4_K_M.gguf' });
  assert.deepEqual(parseModelId('a/b@main/q4/c.gguf'), { repo: 'a/b', revision: 'main', file: 'q4/c.gguf' });
});

test('ids of data sets: revision, config, split, in this order', () => {
  assert.deepEqual(parseDataId('org/data'), { repo: 'org/data' });
  assert.deepEqual(parseDataId('org/data:train'), { repo: 'org/data', split: 'train' });
  assert.deepEqual(parseDataId('org/data/20220301.en:test_sft'), {
    repo: 'org/data',
    config: '20220301.en',
    split: 'test_sft',
  });
  assert.deepEqual(parseDataId('org/data@abc123/main:train'), {
    repo: 'org/data',
    revision: 'abc123',
    config: 'main',
    split: 'train',
  });
});

test('paths and what no repository is called are no ids', () => {
  const never = [
    ...[
      '',
      'gpt2',
      './a/b',
      '../a/b',
      '/a/b',
      '~/a/b',
      '~a/b',
      'a\\b',
      'C:\\a\\b',
      'C:/a/b',
      '.cache/b',
      'a/.b',
      'a/b/',
    ],
    ...[
      'a/b.gguf',
      'a/b.safetensors',
      'a/b.jsonl',
      'a/b.parquet',
      'a//b',
      'a/b--c',
      'a/b..c',
      'a/b.git',
      'a/-b',
      'a/b-',
    ],
    ...['a/é', 'a/b c', 'https://huggingface.co/a/b', `${'a'.repeat(97)}/b`, 'a/b@', 'a/b@../c', 'a/b\n'],
  ];
  for (const text of [...never, 'a/b/c', 'a/b/../c.gguf', 'a/b:train'])
    assert.equal(parseModelId(text), undefined, text);
  for (const text of [...never, 'a/b/c/d', 'a/b/train.jsonl', 'a/b:', 'a/b:train[:10]', 'a/b/..:x']) {
    assert.equal(parseDataId(text), undefined, text);
  }
});

test('what is on disk is a path, and what is missing in a folder that is there, too; a revision says otherwise', async () => {
  mkdirSync(path.join(folder, 'models/mine'), { recursive: true });
  mkdirSync(path.join(folder, 'org'));
  writeFileSync(path.join(folder, 'org/data'), '');
  assert.equal(await modelIdAt('models/mine', folder), undefined);
  assert.equal(await modelIdAt('models/mein', folder), undefined);
  assert.equal(await dataIdAt('org/data', folder), undefined);
  assert.equal(await dataIdAt('org/data:train', folder), undefined);
  assert.deepEqual(await modelIdAt('models/mein@main', folder), { repo: 'models/mein', revision: 'main' });
  assert.deepEqual(await modelIdAt('else/mine', folder), { repo: 'else/mine' });
  assert.deepEqual(await modelIdAt('models/mine', path.join(folder, 'org')), { repo: 'models/mine' });
});

test('an id is written as it is read', () => {
  const texts = ['org/name', 'org/name@v1', 'org/name@feat%2Fx', 'org/name@refs/pr/1', 'org/name@main/q/w.gguf'];
  for (const text of texts) assert.equal(modelIdText(parseModelId(text)!), text);
  assert.deepEqual(parseModelId('org/name@feat%2Fx'), { repo: 'org/name', revision: 'feat/x' });
});
