import assert from 'node:assert/strict';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { convertedWeights } from '../../../src/models/convertedWeights.js';
import { problem, temporaryFolder } from './files.js';

const root = temporaryFolder();

test('what does not fit on the disk is refused before anything is read or written', async () => {
  const source = path.join(root, 'big');
  await writeFile(source, 'x');
  const read = () => assert.fail('read');
  const converting = convertedWeights([source], [{ name: 'a', shape: [2 ** 45], read }]);
  await assert.rejects(converting, problem('checkpoint.no-space', '134217792 MB', 'PEFT_STUDIO_CACHE'));
});

test('what a killed conversion left is removed, what may still be written is not', async () => {
  const source = path.join(root, 'small');
  await writeFile(source, 'x');
  const values = Float32Array.of(1, 2);
  const convert = (name: string) =>
    convertedWeights([source], [{ name, shape: [2], read: () => Promise.resolve(values) }]);
  const { folder } = await convert('a');
  const [old, young] = [path.join(folder, 'old.tmp'), path.join(folder, 'young.tmp')];
  await writeFile(old, 'x');
  await writeFile(young, 'x');
  await utimes(old, 1000, 1000);
  const again = await convert('b');
  assert.equal(again.folder, folder);
  assert.deepEqual([...again.tensors.keys()], ['b']);
  assert.deepEqual((await readdir(folder)).sort(), ['model.safetensors', 'young.tmp']);
});
