import assert from 'node:assert/strict';
import { mkdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { MappedWeights } from '../../../src/models/checkpoint.js';
import type { TensorToWrite } from '../../../src/models/writeSafetensors.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';
import { openSafetensorsFolder } from '../../../src/models/safetensorsFolder.js';
import { problem, temporaryFolder, tensor, writeFolder, writeRaw } from './files.js';

const root = temporaryFolder();
let count = 0;
const newFolder = (): string => path.join(root, `model${count++}`);

/** The values that a mapping of the file would show. */
async function valuesAt(weights: MappedWeights, name: string): Promise<number[]> {
  const { file, offset, length } = weights.tensors.get(name)!;
  assert.equal(path.dirname(file), weights.folder);
  assert.equal(offset % 4, 0);
  return [...new Float32Array(Uint8Array.from((await readFile(file)).subarray(offset, offset + length)).buffer)];
}

async function writeShards(
  folder: string,
  shards: Record<string, TensorToWrite[]>,
  map?: object,
): Promise<string> {
  await writeFolder(folder, []);
  const weightMap: Record<string, string> = {};
  for (const [shard, tensors] of Object.entries(shards)) {
    await writeSafetensors(path.join(folder, shard), tensors);
    for (const { name } of tensors) weightMap[name] = shard;
  }
  const index = path.join(folder, 'model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ metadata: {}, weight_map: map ?? weightMap }));
  return folder;
}

test('a folder of float32 is read and mapped in place', async () => {
  const folder = await writeFolder(newFolder(), [tensor('a', 'F32', 1, 2), tensor('b', 'F32', 3)], { x: 1 });
  const checkpoint = await openSafetensorsFolder(folder);
  assert.equal(checkpoint.source, folder);
  assert.deepEqual(checkpoint.config, { x: 1 });
  assert.deepEqual(checkpoint.tensors.get('a'), { dtype: 'F32', shape: [2] });
  assert.deepEqual(await checkpoint.read('b'), Float32Array.of(3));
  const mapped = await checkpoint.mapped(() => assert.fail('nothing is converted'));
  assert.equal(mapped.tensors.get('a')!.file, path.join(folder, 'model.safetensors'));
  assert.deepEqual(await valuesAt(mapped, 'a'), [1, 2]);
});

test('integers beside float32 weights do not make a conversion', async () => {
  const folder = await writeFolder(newFolder(), []);
  const header =
    '{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}';
  await writeRaw(path.join(folder, 'model.safetensors'), header.padEnd(Math.ceil(header.length / 8) * 8), 12);
  const mapped = await (await openSafetensorsFolder(folder)).mapped();
  assert.deepEqual([...mapped.tensors.keys()], ['w']);
  assert.equal(mapped.folder, folder);
});

test('float32 on an odd address is converted, since it cannot be mapped in place', async () => {
  const folder = await writeFolder(newFolder(), []);
  const header = '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
  await writeRaw(path.join(folder, 'model.safetensors'), header.padEnd(Math.ceil(header.length / 8) * 8 + 1), 4);
  const mapped = await (await openSafetensorsFolder(folder)).mapped();
  assert.notEqual(mapped.folder, folder);
  assert.deepEqual(await valuesAt(mapped, 'w'), [0]);
});

test('bfloat16 is converted once, and again when a file changes', async () => {
  const folder = await writeFolder(newFolder(), [tensor('a', 'BF16', 1, -2), tensor('b', 'F16', 0.5)]);
  const checkpoint = await openSafetensorsFolder(folder);
  const progress: [number, number][] = [];
  const mapped = await checkpoint.mapped((done, total) => progress.push([done, total]));
  assert.deepEqual(progress, [
    [1, 2],
    [2, 2],
  ]);
  assert.deepEqual(await valuesAt(mapped, 'a'), [1, -2]);
  assert.deepEqual(await valuesAt(mapped, 'b'), [0.5]);
  const first = mapped.tensors.get('a')!;
  assert.ok(first.file.startsWith(path.join(root, 'cache', 'weights')));
  assert.equal(first.offset % 64, 0);

  const again = await (await openSafetensorsFolder(folder)).mapped(() => assert.fail('converted twice'));
  assert.deepEqual(again, mapped);

  await utimes(path.join(folder, 'model.safetensors'), 1000, 1000);
  const changed = await checkpoint.mapped();
  assert.notEqual(changed.folder, mapped.folder);
});

test('a damaged converted file is made again', async () => {
  const folder = await writeFolder(newFolder(), [tensor('a', 'BF16', 1, -2, 4, 8)]);
  const checkpoint = await openSafetensorsFolder(folder);
  const { file } = (await checkpoint.mapped()).tensors.get('a')!;
  await truncate(file, (await stat(file)).size - 4);
  assert.deepEqual(await valuesAt(await checkpoint.mapped(), 'a'), [1, -2, 4, 8]);
});

test('shards are one model; float32 ones are mapped in place', async () => {
  const folder = await writeShards(newFolder(), {
    'model-00001-of-00002.safetensors': [tensor('a', 'F32', 1)],
    'model-00002-of-00002.safetensors': [tensor('b', 'F32', 2), tensor('c', 'F32', 3)],
  });
  const checkpoint = await openSafetensorsFolder(folder);
  assert.deepEqual([...checkpoint.tensors.keys()], ['a', 'b', 'c']);
  assert.deepEqual(await checkpoint.read('c'), Float32Array.of(3));
  const mapped = await checkpoint.mapped();
  assert.equal(mapped.folder, folder);
  assert.deepEqual(await valuesAt(mapped, 'c'), [3]);
});

test('a hub cache: links into blobs/ are followed to one real folder', async () => {
  const hub = newFolder();
  const snapshot = path.join(hub, 'snapshots', 'abc');
  const blobs = path.join(hub, 'blobs');
  await mkdir(snapshot, { recursive: true });
  await writeShards(blobs, {
    's1.safetensors': [tensor('a', 'F32', 1)],
    's2.safetensors': [tensor('b', 'F32', 2)],
  });
  for (const name of ['config.json', 'model.safetensors.index.json', 's1.safetensors', 's2.safetensors']) {
    await symlink(path.join('..', '..', 'blobs', name), path.join(snapshot, name));
  }
  const mapped = await (await openSafetensorsFolder(snapshot)).mapped();
  assert.equal(mapped.folder, blobs);
  assert.deepEqual(await valuesAt(mapped, 'b'), [2]);
});

test('float32 shards that lie in different real folders are copied into one file', async () => {
  const folder = newFolder();
  const elsewhere = newFolder();
  await writeShards(folder, {
    's1.safetensors': [tensor('a', 'F32', 1)],
    's2.safetensors': [tensor('b', 'F32', 2)],
  });
  await writeFolder(elsewhere, []);
  await writeSafetensors(path.join(elsewhere, 's2'), [tensor('b', 'F32', 5)]);
  await rm(path.join(folder, 's2.safetensors'));
  await symlink(path.join(elsewhere, 's2'), path.join(folder, 's2.safetensors'));
  const mapped = await (await openSafetensorsFolder(folder)).mapped();
  assert.deepEqual(await valuesAt(mapped, 'a'), [1]);
  assert.deepEqual(await valuesAt(mapped, 'b'), [5]);
});

test('an index that lies is refused', async () => {
  const refuse = async (map: object, code: string, ...parts: string[]): Promise<void> => {
    const folder = await writeShards(newFolder(), { 's.safetensors': [tensor('a', 'F32', 1)] }, map);
    await assert.rejects(openSafetensorsFolder(folder), problem(code, 'index.json', ...parts));
  };
  await refuse({ a: 'other.safetensors' }, 'checkpoint.shard-missing', 'other.safetensors');
  await refuse({ a: 's.safetensors', b: 's.safetensors' }, 'checkpoint.shard-tensor', 'b');
  for (const shard of [
    '../s.safetensors',
    '/etc/x.safetensors',
    'a\\b.safetensors',
    'C:x.safetensors',
    's.bin',
    7,
  ]) {
    await refuse({ a: shard }, 'checkpoint.shard-path', 'a');
  }
  await refuse({}, 'checkpoint.index', 'weight_map');
  const twice = await writeShards(
    newFolder(),
    {
      's1.safetensors': [tensor('a', 'F32', 1)],
      's2.safetensors': [tensor('a', 'F32', 1), tensor('b', 'F32', 1)],
    },
    { a: 's1.safetensors', b: 's2.safetensors' },
  );
  await assert.rejects(openSafetensorsFolder(twice), problem('checkpoint.shard-tensor', 'a'));
});

test('a folder that does not exist is never taken for a hub id', async () => {
  await assert.rejects(
    openSafetensorsFolder('HuggingFaceTB/SmolLM2-135M'),
    problem('checkpoint.folder-not-found', 'folder not found', path.resolve('HuggingFaceTB')),
  );
});

test('pickles are refused with the way to convert them', async () => {
  for (const name of ['pytorch_model.bin', 'consolidated.00.pth', 'model.pt']) {
    const folder = await writeFolder(newFolder(), []);
    await writeFile(path.join(folder, name), 'x');
    await assert.rejects(openSafetensorsFolder(folder), problem('checkpoint.pickle', name, 'save_pretrained'));
  }
});

test('what is missing is named, with what is there', async () => {
  const empty = newFolder();
  await mkdir(empty);
  await assert.rejects(openSafetensorsFolder(empty), problem('checkpoint.no-config', 'nothing'));
  await writeFile(path.join(empty, 'x.gguf'), 'x');
  await assert.rejects(openSafetensorsFolder(empty), problem('checkpoint.no-config', 'x.gguf'));
  await writeFile(path.join(empty, 'config.json'), '{}');
  await assert.rejects(openSafetensorsFolder(empty), problem('checkpoint.no-weights', 'config.json'));
  await writeFile(path.join(empty, 'config.json'), '{"a":1,\n"a":2}');
  await assert.rejects(openSafetensorsFolder(empty), problem('checkpoint.config.json', 'config.json:2'));
});

test('an unknown tensor is named with the nearest', async () => {
  const checkpoint = await openSafetensorsFolder(await writeFolder(newFolder(), [tensor('q_proj', 'F32', 1)]));
  await assert.rejects(
    checkpoint.read('q_porj'),
    problem('checkpoint.unknown-tensor', 'q_porj', 'perhaps q_proj'),
  );
});
