import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ggufType, ggufTypeName, supportedGgufTypes } from '../../../src/models/ggufTypes.js';
import { floats, readFixture } from './files.js';

interface Block {
  id: number;
  name: string;
  blockSize: number;
  blockBytes: number;
  bytes: string;
  values: string;
}
const blocks = await readFixture<Block[]>('blocks.json');

test('every supported type is in the fixture', () => {
  assert.deepEqual(blocks.map(({ name }) => name).sort(), supportedGgufTypes().sort());
});

for (const { id, name, blockSize, blockBytes, bytes, values } of blocks) {
  test(`${name}: the values of the gguf package, bit for bit`, () => {
    const type = ggufType(id)!;
    assert.deepEqual([type.name, type.blockSize, type.blockBytes], [name, blockSize, blockBytes]);
    const expected = floats(values);
    assert.ok(expected.some((value) => value !== 0));
    assert.deepEqual(type.dequantize(Uint8Array.from(Buffer.from(bytes, 'base64'))), expected);
  });
}

test('types that are not read have names, if they are known', () => {
  assert.equal(ggufType(10), undefined);
  assert.equal(ggufTypeName(10), 'Q2_K');
  assert.equal(ggufTypeName(999), 'number 999');
});
