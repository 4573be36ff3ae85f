import assert from 'node:assert/strict';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
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
  assert.deepEqual((await readdir(folder)).sort(), ['model.safetensors', 'sources.json', 'young.tmp']);
});

test('entries whose source is gone or changed go when a new one is made; all else in the cache stays', async () => {
  const convert = async (name: string): Promise<string> => {
    const read = () => Promise.resolve(Float32Array.of(1));
    return (await convertedWeights([path.join(root, name)], [{ name: 'a', shape: [1], read }])).folder;
  };
  const sources = ['gone', 'changed', 'same', 'new'].map((name) => path.join(root, name));
  for (const source of sources) await writeFile(source, 'x');
  const [gone, changed, same] = [await convert('gone'), await convert('changed'), await convert('same')];
  const cache = path.dirname(same);
  const [foreign, begun, abandoned] = ['photos', 'a'.repeat(32), 'b'.repeat(32)].map((name) =>
    path.join(cache, name),
  );
  for (const folder of [foreign!, begun!, abandoned!]) await mkdir(folder);
  for (const folder of [foreign!, abandoned!]) await utimes(folder, 1000, 1000);
  await rm(sources[0]!);
  await writeFile(sources[1]!, 'longer');
  const here = async (): Promise<boolean[]> => {
    const names = new Set(await readdir(cache));
    return [gone, changed, same, foreign!, begun!, abandoned!].map((each) => names.has(path.basename(each)));
  };
  assert.equal(await convert('same'), same);
  assert.deepEqual(await here(), [true, true, true, true, true, true], 'nothing new was made');
  await convert('new');
  assert.deepEqual(await here(), [false, false, true, true, true, false]);
});
