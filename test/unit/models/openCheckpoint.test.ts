import assert from 'node:assert/strict';
import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { problem, readFixture, temporaryFolder, tensor, writeFolder } from './files.js';

const folder = temporaryFolder();

test('folders and GGUF files are told apart by what they are', async () => {
  const model = await writeFolder(path.join(folder, 'model.gguf'), [tensor('a', 'F32', 1)]);
  assert.equal((await openCheckpoint(model)).format, 'safetensors');
  const { gguf } = await readFixture<{ gguf: string }>('model.json');
  const file = path.join(folder, 'blob-without-ending');
  await writeFile(file, Buffer.from(gguf, 'base64'));
  assert.equal((await openCheckpoint(file)).format, 'gguf');
  await copyFile(file, path.join(folder, 'x.GGUF'));
  assert.equal((await openCheckpoint(path.join(folder, 'x.GGUF'))).format, 'gguf');
});

test('what is neither is named', async () => {
  const weights = path.join(folder, 'model.gguf', 'model.safetensors');
  await assert.rejects(openCheckpoint(weights), problem('checkpoint.not-a-model', path.dirname(weights)));
  const empty = path.join(folder, 'empty.txt');
  await writeFile(empty, '');
  await assert.rejects(openCheckpoint(empty), problem('checkpoint.not-a-model', 'empty.txt'));
  await writeFile(path.join(folder, 'no.gguf'), 'nothing of the kind');
  await assert.rejects(openCheckpoint(path.join(folder, 'no.gguf')), problem('gguf.magic'));
  await assert.rejects(openCheckpoint('./lora-out'), problem('checkpoint.folder-not-found', 'folder not found'));
});
