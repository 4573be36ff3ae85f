import assert from 'node:assert/strict';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readSafetensor, readSafetensorsHeader, safetensorParts } from '../../../src/models/safetensors.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';
import { problem, temporaryFolder, tensor, writeRaw } from './files.js';

const folder = temporaryFolder();
let count = 0;
const newFile = (): string => path.join(folder, `${count++}.safetensors`);

async function refused(header: string, dataBytes: number, code: string, ...parts: string[]): Promise<void> {
  const file = await writeRaw(newFile(), header, dataBytes);
  await assert.rejects(readSafetensorsHeader(file), problem(code, file, ...parts));
}

const entry = (dtype: string, shape: unknown, offsets: unknown): string =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });

test('what is written is read back, in each type, with metadata, empty and scalar tensors', async () => {
  const file = newFile();
  await writeSafetensors(
    file,
    [
      tensor('c', 'F32', 1.1, -2.2, Infinity),
      tensor('a', 'BF16', 1, -0.5, 3.140625),
      { name: 'b', dtype: 'F16', shape: [2, 2], data: () => Promise.resolve(Float32Array.of(1, 2, -3, 0.5)) },
      { name: 'none', dtype: 'F32', shape: [0, 4], data: new Float32Array() },
      { name: 'one', dtype: 'F32', shape: [], data: Float32Array.of(7) },
    ],
    { format: 'pt' },
  );
  const header = await readSafetensorsHeader(file);
  assert.deepEqual(header.metadata, { format: 'pt' });
  assert.deepEqual([...header.tensors.keys()], ['c', 'a', 'b', 'none', 'one']);
  assert.deepEqual(header.tensors.get('b')!.shape, [2, 2]);
  assert.equal(header.tensors.get('c')!.offset % 8, 0);
  assert.deepEqual(await readSafetensor(header, 'c'), Float32Array.of(1.1, -2.2, Infinity));
  assert.deepEqual(await readSafetensor(header, 'a'), Float32Array.of(1, -0.5, 3.140625));
  assert.deepEqual(await readSafetensor(header, 'b'), Float32Array.of(1, 2, -3, 0.5));
  assert.deepEqual(await readSafetensor(header, 'none'), new Float32Array());
  assert.deepEqual(await readSafetensor(header, 'one'), Float32Array.of(7));
});

test('a tensor longer than a chunk is written and read whole', async () => {
  const file = newFile();
  const data = Float32Array.from({ length: (1 << 20) + 3 }, (_, i) => i % 251);
  await writeSafetensors(file, [{ name: 'a', dtype: 'BF16', shape: [data.length], data }]);
  assert.deepEqual(await readSafetensor(await readSafetensorsHeader(file), 'a'), data);
});

test('data begin where the alignment says', async () => {
  const file = newFile();
  await writeSafetensors(file, [tensor('a', 'F32', 1)], {}, { alignment: 64 });
  const { tensors } = await readSafetensorsHeader(file);
  assert.equal(tensors.get('a')!.offset % 64, 0);
});

test('float64 is narrowed; integers are named and not read', async () => {
  const header = `{"d":${entry('F64', [1], [0, 8])},"i":${entry('I64', [1], [8, 16])}}`;
  const file = await writeRaw(newFile(), header, 16);
  const bytes = await readFile(file);
  bytes.writeDoubleLE(0.1, bytes.length - 16);
  await writeFile(file, bytes);
  const parsed = await readSafetensorsHeader(file);
  assert.deepEqual(await readSafetensor(parsed, 'd'), Float32Array.of(0.1));
  await assert.rejects(readSafetensor(parsed, 'i'), problem('safetensors.dtype', 'I64', 'BF16'));
  await assert.rejects(readSafetensor(parsed, 'x'), problem('safetensors.unknown-tensor', 'x'));
});

test('nothing is left of a file whose writing fails', async () => {
  const own = path.join(folder, 'failing');
  const file = path.join(own, 'model.safetensors');
  const broken = { name: 'b', dtype: 'F32', shape: [1], data: () => Promise.reject(new Error('gone')) } as const;
  await assert.rejects(writeSafetensors(file, [tensor('a', 'F32', 1), broken]), /gone/);
  const short = { name: 'a', dtype: 'F32', shape: [3], data: Float32Array.of(1) } as const;
  await assert.rejects(writeSafetensors(file, [short]), problem('safetensors.data-length', '1 values', '3'));
  const twice = [tensor('a', 'F32', 1), tensor('a', 'F32', 1)];
  await assert.rejects(writeSafetensors(file, twice), problem('safetensors.duplicate', 'a'));
  assert.deepEqual(await readdir(own).catch(() => []), []);
});

test('lengths that the file does not have', async () => {
  const tiny = await writeRaw(newFile(), '{}', 0, 1n << 30n);
  await assert.rejects(readSafetensorsHeader(tiny), problem('safetensors.header-too-long', '1073741824'));
  const past = await writeRaw(newFile(), '{}', 0, 100n);
  await assert.rejects(readSafetensorsHeader(past), problem('safetensors.header-too-long', '100', 'has 10'));
  const huge = await writeRaw(newFile(), '{}', 0, 2n ** 64n - 1n);
  await assert.rejects(readSafetensorsHeader(huge), problem('safetensors.header-too-long'));
  const short = newFile();
  await writeFile(short, 'abc');
  await assert.rejects(readSafetensorsHeader(short), problem('safetensors.too-short', '3 bytes'));
});

test('spans: past the end, overlapping, with holes, of the wrong size', async () => {
  await refused(`{"a":${entry('F32', [2], [0, 8])}}`, 4, 'safetensors.span', 'a');
  await refused(`{"a":${entry('U8', [1 << 30], [0, 1 << 30])}}`, 4, 'safetensors.span');
  const first = `"a":${entry('F32', [2], [0, 8])}`;
  await refused(`{${first},"b":${entry('F32', [2], [4, 12])}}`, 12, 'safetensors.overlap', 'a and b');
  await refused(`{${first},"b":${entry('F32', [2], [0, 8])}}`, 8, 'safetensors.overlap', 'a and b');
  await refused(`{${first},"b":${entry('F32', [1], [12, 16])}}`, 16, 'safetensors.hole');
  await refused(`{${first}}`, 9, 'safetensors.hole');
  await refused(`{"a":${entry('F32', [1], [4, 8])}}`, 8, 'safetensors.hole');
  await refused('{}', 1, 'safetensors.hole');
  await refused(`{"a":${entry('F32', [3], [0, 8])}}`, 8, 'safetensors.size', '12 bytes');
  await refused(`{"a":${entry('BF16', [2 ** 40, 2 ** 40], [0, 8])}}`, 8, 'safetensors.size', 'fits in memory');
});

test('numbers that are no sizes', async () => {
  for (const shape of [[-1], [1.5], ['1'], 4, null, [2 ** 60], Array<number>(9).fill(1)]) {
    await refused(`{"a":${entry('F32', shape, [0, 4])}}`, 4, 'safetensors.shape', 'a');
  }
  for (const offsets of [[-4, 0], [0.5, 4.5], [4, 0], [0], [0, 4, 8], 'x', [0, 2 ** 60]]) {
    await refused(`{"a":${entry('F32', [1], offsets)}}`, 4, 'safetensors.offsets', 'a');
  }
  await refused(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}}`, 4, 'safetensors.offsets');
});

test('entries, types and keys that do not exist', async () => {
  await refused(`{"a":${entry('Q4', [1], [0, 4])}}`, 4, 'safetensors.dtype', 'Q4', 'BF16');
  await refused(`{"a":${entry('toString', [1], [0, 4])}}`, 4, 'safetensors.dtype');
  await refused('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4, 'safetensors.entry', '"x"');
  await refused('{"a":{}}', 4, 'safetensors.dtype');
  await refused('{"a":7}', 4, 'safetensors.entry');
  await refused('{"__metadata__":{"a":1}}', 0, 'safetensors.metadata');
  await refused('{"__metadata__":"a"}', 0, 'safetensors.metadata');
});

test('headers that are no JSON object, hold a name twice or nest', async () => {
  const one = entry('F32', [1], [0, 4]);
  await refused(`{"a":${one},"a":${one}}`, 4, 'safetensors.json', 'twice');
  await refused('[1]', 0, 'safetensors.json');
  await refused('{"a":', 0, 'safetensors.json');
  await refused(`{"a":{"shape":${'['.repeat(1_000_000)}`, 0, 'safetensors.json', 'deeper');
  const file = await writeRaw(newFile(), '{"a":1}', 0);
  const bytes = await readFile(file);
  bytes[10] = 0xff;
  await writeFile(file, bytes);
  await assert.rejects(readSafetensorsHeader(file), problem('safetensors.json', 'UTF-8'));
});

test('a name like a property of objects is a name', async () => {
  const file = await writeRaw(newFile(), `{"__proto__":${entry('F32', [1], [0, 4])}}`, 4);
  const header = await readSafetensorsHeader(file);
  assert.deepEqual([...header.tensors.keys()], ['__proto__']);
  await assert.rejects(readSafetensor(header, 'constructor'), problem('safetensors.unknown-tensor'));
});

test('a file that shrinks between header and data is an error', async () => {
  const file = newFile();
  await writeSafetensors(file, [tensor('a', 'F32', 1, 2, 3)]);
  const header = await readSafetensorsHeader(file);
  await truncate(file, header.tensors.get('a')!.offset + 4);
  await assert.rejects(readSafetensor(header, 'a'), problem('checkpoint.changed', file));
});

for (const dtype of ['F32', 'F16', 'BF16'] as const) {
  test(`a tensor part by part is the tensor, and is written like it (${dtype})`, async () => {
    const size = 3 * 1024 * 1024 + 5;
    const values = Float32Array.from({ length: size }, (_, at) => at % 251);
    const [file, copy] = [newFile(), newFile()];
    const before = { name: 'before', dtype: 'F32' as const, shape: [1], data: Float32Array.of(1) };
    await writeSafetensors(file, [before, { name: 'a', dtype, shape: [size], data: values }]);
    const header = await readSafetensorsHeader(file);
    let parts = 0;
    for await (const part of safetensorParts(header, 'a')) {
      parts++;
      assert.ok(part.length < size);
    }
    assert.ok(parts > 1);
    const data = () => safetensorParts(header, 'a');
    await writeSafetensors(copy, [before, { name: 'a', dtype, shape: [size], data }]);
    assert.ok((await readFile(copy)).equals(await readFile(file)));
    assert.deepEqual(await readSafetensor(await readSafetensorsHeader(copy), 'a'), values);
  });
}

test('parts that are more or fewer values than the shape are refused, and no file is left', async () => {
  const source = newFile();
  await writeSafetensors(source, [{ name: 'a', dtype: 'F32', shape: [4], data: Float32Array.of(1, 2, 3, 4) }]);
  const header = await readSafetensorsHeader(source);
  for (const shape of [[3], [5]]) {
    const file = newFile();
    const data = () => safetensorParts(header, 'a');
    const writing = writeSafetensors(file, [{ name: 'a', dtype: 'F32', shape, data }]);
    await assert.rejects(writing, problem('safetensors.data-length', 'a was given 4 values'));
    assert.ok(!(await readdir(folder)).includes(path.basename(file)));
  }
});
