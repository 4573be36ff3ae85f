import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { writeModel } from '../../../src/adapters/writeModel.js';
import type { TensorToWrite } from '../../../src/models/writeSafetensors.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { names, temporaryFolder } from '../../support/adapters.js';
import { readJson } from '../../support/fixtures.js';

const folder = temporaryFolder();
const tokenizerFiles = new Map([['tokenizer.json', new Uint8Array([123, 125])]]);
const tensors: TensorToWrite[] = ['c', 'a', 'b', 'd'].map((name, at) => ({
  name,
  dtype: 'F32',
  shape: [2, 2],
  data: Float32Array.from([0, 1, 2, 3], (value) => value + at),
}));

test('a small model is one file', async () => {
  const out = path.join(folder, 'one');
  const generationConfig = { eos_token_id: 2 };
  await writeModel(out, { config: { model_type: 'llama' }, generationConfig, tensors, tokenizerFiles });
  assert.deepEqual(await names(out), [
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
  ]);
  assert.deepEqual(await readJson(`${out}/generation_config.json`), generationConfig);
  assert.deepEqual(await readJson(`${out}/config.json`), { model_type: 'llama', torch_dtype: 'float32' });
});

test("Gemma 2's caps stay floating-point numbers, which Transformers asks for", async () => {
  const out = path.join(folder, 'caps');
  const config = {
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
    hidden_size: 64,
    initializer_factor: 1,
  };
  await writeModel(out, { config, tensors, tokenizerFiles });
  const text = await readFile(`${out}/config.json`, 'utf8');
  assert.match(
    text,
    /"attn_logit_softcapping": 50\.0,\n {2}"final_logit_softcapping": 30\.0,\n {2}"hidden_size": 64,\n {2}"initializer_factor": 1\.0,/,
  );
});

test('a big one is cut into shards with an index', async () => {
  const out = path.join(folder, 'shards');
  const progress: number[][] = [];
  const onProgress = (done: number, total: number): number => progress.push([done, total]);
  await writeModel(out, { config: { dtype: 'float64' }, tensors, tokenizerFiles, maxShardBytes: 40, onProgress });
  assert.deepEqual(progress, [
    [1, 4],
    [2, 4],
    [3, 4],
    [4, 4],
  ]);
  assert.deepEqual(await readJson(`${out}/model.safetensors.index.json`), {
    metadata: { total_size: 64 },
    weight_map: {
      a: 'model-00001-of-00002.safetensors',
      b: 'model-00002-of-00002.safetensors',
      c: 'model-00001-of-00002.safetensors',
      d: 'model-00002-of-00002.safetensors',
    },
  });
  const written = await openCheckpoint(out);
  assert.deepEqual(written.config, { dtype: 'float32' });
  for (const { name, data } of tensors) assert.deepEqual(await written.read(name), data);
});

test('a tensor bigger than a shard has a file of its own, and no file is empty', async () => {
  const out = path.join(folder, 'tiny-shards');
  await writeModel(out, { config: {}, tensors, tokenizerFiles, maxShardBytes: 1 });
  assert.equal((await names(out)).filter((name) => /^model-0000\d-of-00004/.test(name)).length, 4);
});

test('the dtype key says what most weights are', async () => {
  const out = path.join(folder, 'mixed');
  const mixed = tensors.map((tensor, at): TensorToWrite => ({ ...tensor, dtype: at === 0 ? 'F32' : 'BF16' }));
  await writeModel(out, { config: { torch_dtype: 'float16' }, tensors: mixed, tokenizerFiles });
  assert.deepEqual(await readJson(`${out}/config.json`), { torch_dtype: 'bfloat16' });
});

test('a producer that throws midway leaves nothing', async () => {
  const parent = path.join(folder, 'failing');
  const broken = { ...tensors[2]!, data: () => Promise.reject(new Error('the disk is gone')) };
  await assert.rejects(
    writeModel(path.join(parent, 'out'), {
      config: {},
      tensors: [...tensors.slice(0, 2), broken],
      tokenizerFiles,
      maxShardBytes: 16,
    }),
    /the disk is gone/,
  );
  assert.deepEqual(await names(parent), []);
});
