import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readGgufHeader, readGgufTensor } from '../../../src/models/gguf.js';
import { problem, temporaryFolder } from './files.js';
import type { TensorPart } from './ggufFile.js';
import { f32, ggufFile, join, text, u32, u64, u8, value } from './ggufFile.js';

const folder = temporaryFolder();
let count = 0;

async function save(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, `${count++}.gguf`);
  await writeFile(file, bytes);
  return file;
}

async function refused(bytes: Uint8Array, code: string, ...parts: string[]): Promise<void> {
  const file = await save(bytes);
  assert.throws(() => readGgufHeader(file), problem(code, file, ...parts));
}

const one: TensorPart = { name: 'a', dims: [2, 3], type: 0, offset: 0 };

test('metadata of every type, tensors with dimensions reversed', async () => {
  const file = await save(
    ggufFile({
      version: 2,
      metadata: {
        u8: join(u32(0), u8(200)),
        i8: join(u32(1), u8(200)),
        u16: join(u32(2), Uint8Array.of(1, 2)),
        i16: join(u32(3), Uint8Array.of(255, 255)),
        u32: value.u32(7),
        i32: join(u32(5), u32(0xffffffff)),
        f32: value.f32(0.5),
        bool: value.bool(true),
        text: value.text('é'),
        nested: join(u32(9), u32(9), u64(2), u32(0), u64(1), u8(5), u32(8), u64(1), text('x')),
        u64: join(u32(10), u64(12)),
        big: join(u32(10), u64(2n ** 63n)),
        i64: join(u32(11), u64(2n ** 64n - 1n)),
        f64: join(u32(12), new Uint8Array(Float64Array.of(0.1).buffer)),
      },
      tensors: [one, { name: 'b', dims: [1], type: 0, offset: 32 }],
      data: join(...[1, 2, 3, 4, 5, 6, 0, 0, 7].map(f32)),
    }),
  );
  const header = readGgufHeader(file);
  assert.deepEqual(Object.fromEntries(header.metadata), {
    ...{ u8: 200, i8: -56, u16: 513, i16: -1, u32: 7, i32: -1, f32: 0.5, bool: true, text: 'é' },
    ...{ nested: [[5], ['x']], u64: 12, big: 2n ** 63n, i64: -1, f64: 0.1 },
  });
  assert.deepEqual(header.tensors.get('a')!.shape, [3, 2]);
  assert.deepEqual(await readGgufTensor(header, 'a'), Float32Array.of(1, 2, 3, 4, 5, 6));
  assert.deepEqual(await readGgufTensor(header, 'b'), Float32Array.of(7));
  await assert.rejects(readGgufTensor(header, 'c'), problem('gguf.unknown-tensor', 'c'));
});

test('a header longer than the reading window', async () => {
  const items = Array.from({ length: 100_000 }, (_, i) => `token ${i} ${'x'.repeat(i % 13)}`);
  const long = 'y'.repeat(1_500_000);
  const file = await save(ggufFile({ metadata: { items: value.texts(items), long: value.text(long) } }));
  const { metadata } = readGgufHeader(file);
  assert.deepEqual(metadata.get('items'), items);
  assert.equal(metadata.get('long'), long);
});

test('files that are not GGUF, or not of a version that is read', async () => {
  await refused(Buffer.from('version https://git-lfs.github.com/spec/v1'), 'gguf.magic');
  await refused(new Uint8Array(3), 'gguf.magic');
  await refused(ggufFile({ version: 1 }), 'gguf.version', 'version 1');
  await refused(ggufFile({ version: 4 }), 'gguf.version', 'version 4');
  await refused(ggufFile({ version: 0x03000000 }), 'gguf.version', 'big-endian');
});

test('counts and lengths that the file does not have', async () => {
  await refused(ggufFile({ tensorCount: 2n ** 63n }), 'gguf.count', 'tensors');
  await refused(ggufFile({ tensorCount: 60_000 }), 'gguf.count', 'tensors');
  await refused(ggufFile({ keyCount: 10 ** 9 }), 'gguf.count', 'keys');
  await refused(ggufFile({ extraKeys: [['a', join(u32(8), u64(2 ** 30))]] }), 'gguf.count', 'a', '1073741824');
  await refused(ggufFile({ extraKeys: [['a', join(u32(8), u64(100))]] }), 'gguf.count', 'a', '100');
  await refused(ggufFile({ extraKeys: [['a', join(u32(9), u32(4), u64(10 ** 9))]] }), 'gguf.count', 'a');
  await refused(ggufFile({ extraKeys: [['a', join(u32(9), u32(0), u64(2n ** 64n - 1n))]] }), 'gguf.count');
  const whole = ggufFile({ metadata: { a: value.text('some text') }, tensors: [one] });
  await refused(whole.subarray(0, 30), 'gguf.count');
  await refused(whole.subarray(0, 60), 'gguf.too-short', '60');
});

test('arrays in arrays end', async () => {
  const deep = join(...Array.from({ length: 100 }, () => join(u32(9), u64(1))), u32(0), u64(1), u8(1));
  await refused(ggufFile({ extraKeys: [['a', join(u32(9), deep)]] }), 'gguf.nesting', 'a');
});

test('value types and keys that cannot be', async () => {
  await refused(ggufFile({ extraKeys: [['a', join(u32(13), u64(0))]] }), 'gguf.value-type', 'a', '13');
  const twice: [string, Uint8Array][] = [
    ['a', value.u32(1)],
    ['a', value.u32(1)],
  ];
  await refused(ggufFile({ extraKeys: twice }), 'gguf.duplicate', 'a');
});

test('tensors past the end, overlapping, unaligned, twice', async () => {
  const data = new Uint8Array(64);
  await refused(ggufFile({ tensors: [one] }), 'gguf.span', 'a');
  await refused(ggufFile({ tensors: [{ ...one, offset: 64 }], data }), 'gguf.span', 'a');
  await refused(ggufFile({ tensors: [{ ...one, offset: 2n ** 60n }], data }), 'gguf.span', 'a');
  await refused(ggufFile({ tensors: [{ ...one, dims: [2 ** 15, 2 ** 15] }], data }), 'gguf.span');
  await refused(ggufFile({ tensors: [one, { ...one, name: 'b' }], data }), 'gguf.overlap', 'a and b');
  await refused(ggufFile({ tensors: [{ ...one, offset: 8 }], data }), 'gguf.alignment', 'a');
  await refused(ggufFile({ tensors: [one, { ...one, offset: 32 }], data }), 'gguf.duplicate', 'a');
});

test('alignments that are none', async () => {
  for (const alignment of [0, 7, 12, 2 ** 31]) {
    await refused(ggufFile({ metadata: { 'general.alignment': value.u32(alignment) } }), 'gguf.alignment');
  }
  await refused(ggufFile({ metadata: { 'general.alignment': value.text('8') } }), 'gguf.alignment');
});

test('shapes that cannot be', async () => {
  const data = new Uint8Array(64);
  const shaped = (dims: (number | bigint)[], type = 0) => ggufFile({ tensors: [{ ...one, dims, type }], data });
  await refused(shaped([2 ** 40, 2 ** 40]), 'gguf.shape');
  await refused(shaped([2n ** 63n, 2]), 'gguf.shape');
  await refused(shaped([0, 2]), 'gguf.shape');
  await refused(shaped([1, 1, 1, 1, 1]), 'gguf.shape', '5 dimensions');
  await refused(shaped([16, 2], 8), 'gguf.shape', 'Q8_0', '32');
});

test('a type that is not read is named together with those that are', async () => {
  const tensors = [{ ...one, dims: [256], type: 10 }];
  await refused(ggufFile({ tensors, data: new Uint8Array(84) }), 'gguf.type', 'a', 'Q2_K', 'Q4_1', 'BF16');
});
