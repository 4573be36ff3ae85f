import assert from 'node:assert/strict';
import { open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { startGgufCopy } from '../../../src/models/copyGguf.js';
import type { GgufCopy } from '../../../src/models/copyGguf.js';
import { readGgufHeader, readGgufTensor } from '../../../src/models/gguf.js';
import type { GgufHeader } from '../../../src/models/gguf.js';
import { ggufTypeNamed } from '../../../src/models/ggufTypes.js';
import { fixture } from '../../support/fixtures.js';
import { temporaryFolder } from './files.js';
import { f32, ggufFile, join, text, u32, u64, u8, value } from './ggufFile.js';

const folder = temporaryFolder();
let count = 0;

/** A file with values of all kinds, with another alignment and of the older version. */
async function varied(): Promise<GgufHeader> {
  const head = {
    version: 2,
    metadata: {
      'general.alignment': value.u32(64),
      'general.file_type': value.u32(0),
      flag: value.bool(true),
      wide: join(u32(10), u64(2n ** 63n)),
      nested: join(u32(9), u32(9), u64(2), u32(0), u64(1), u8(5), u32(8), u64(1), text('x')),
      text: value.text('é\ufeff'),
    },
    tensors: [
      { name: 'a', dims: [2, 3], type: 0, offset: 0 },
      { name: 'b', dims: [1], type: 0, offset: 64 },
    ],
  };
  const bare = ggufFile({ ...head, tensors: head.tensors });
  // The helper aligns to 32: up to 64 it goes on with zeros.
  const gap = new Uint8Array((64 - (bare.length % 64)) % 64);
  const data = join(gap, ...[1, 2, 3, 4, 5, 6].map(f32), new Uint8Array(40), f32(7), new Uint8Array(60));
  const file = path.join(folder, `${++count}.gguf`);
  await writeFile(file, ggufFile({ ...head, data }));
  return readGgufHeader(file);
}

async function copied(
  header: GgufHeader,
  write: (copy: GgufCopy) => Promise<void>,
  { more = [], keys = {} }: { more?: { name: string; shape: number[] }[]; keys?: Record<string, number> } = {},
): Promise<GgufHeader> {
  const file = path.join(folder, `${++count}.gguf`);
  const handle = await open(file, 'wx');
  try {
    const tensors = [...header.tensors].map(([name, { shape }]) => ({ name, shape }));
    const copy = startGgufCopy(header, handle, [...tensors, ...more], Object.keys(keys));
    await write(copy);
    await copy.finish(keys);
  } finally {
    await handle.close();
  }
  return readGgufHeader(file);
}

const keepAll = (header: GgufHeader) => async (copy: GgufCopy) => {
  for (const name of header.tensors.keys()) await copy.keep(name, name);
};

test('with nothing changed a copy is the file, byte for byte', async () => {
  for (const header of [await varied(), readGgufHeader(fixture('decoders', 'tiny-gemma3.gguf'))]) {
    const copy = await copied(header, keepAll(header));
    assert.deepEqual(await readFile(copy.file), await readFile(header.file));
  }
});

test('tensors in another order, changed and added; keys given anew', async () => {
  const header = await varied();
  const type = ggufTypeNamed('F16')!;
  const copy = await copied(
    header,
    async (to) => {
      await to.keep('b', 'b');
      await to.put('a', type, [type.quantize(Float32Array.of(1, 2, 3)), type.quantize(Float32Array.of(4, 5, -6))]);
      await to.keep('c', 'b');
    },
    { more: [{ name: 'c', shape: [1] }], keys: { 'general.file_type': 1, 'general.quantization_version': 2 } },
  );
  assert.deepEqual([...copy.tensors.keys()], ['b', 'a', 'c']);
  assert.deepEqual(copy.tensors.get('a')!.shape, [3, 2]);
  assert.equal(copy.tensors.get('a')!.type.name, 'F16');
  assert.deepEqual(await readGgufTensor(copy, 'a'), Float32Array.of(1, 2, 3, 4, 5, -6));
  assert.deepEqual(await readGgufTensor(copy, 'c'), Float32Array.of(7));
  assert.deepEqual(Object.fromEntries(copy.metadata), {
    ...Object.fromEntries(header.metadata),
    'general.file_type': 1,
    'general.quantization_version': 2,
  });
});
