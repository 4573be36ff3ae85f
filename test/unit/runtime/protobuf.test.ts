import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtobufWriter } from '../../../src/runtime/protobuf.js';

// Expected bytes are those of the encoding guide's rules, by hand: tag = field · 8 + wire type, least group first.
function written(write: (writer: ProtobufWriter) => void): number[] {
  const writer = new ProtobufWriter();
  write(writer);
  return [...writer.finish()];
}

test('integers are varints, negative ones in two’s complement of 64 bits', () => {
  const integer = (value: number | bigint): number[] => written((writer) => writer.integer(1, value));
  assert.deepEqual(integer(0), [8, 0]);
  assert.deepEqual(integer(127), [8, 127]);
  assert.deepEqual(integer(150), [8, 0x96, 1]);
  assert.deepEqual(integer(2 ** 31), [8, 0x80, 0x80, 0x80, 0x80, 8]);
  assert.deepEqual(integer(2 ** 53 - 1), [8, 255, 255, 255, 255, 255, 255, 255, 15]);
  assert.deepEqual(integer(2n ** 63n), [8, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1]);
  for (const one of [-1, -1n]) assert.deepEqual(integer(one), [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
  assert.deepEqual(
    written((writer) => writer.integer(20, 1)),
    [0xa0, 1, 1],
  );
});

test('floats, texts and bytes', () => {
  assert.deepEqual(
    written((writer) => writer.float(2, 1)),
    [21, 0, 0, 0x80, 0x3f],
  );
  assert.deepEqual(
    written((writer) => writer.text(2, 'aµ')),
    [18, 3, 97, 0xc2, 0xb5],
  );
  assert.deepEqual(
    written((writer) => writer.bytes(3, Uint8Array.of(1, 2))),
    [26, 2, 1, 2],
  );
});

test('messages in messages have their own lengths, short and long', () => {
  const nested = written((writer) =>
    writer.message(1, (outer) => {
      outer.integer(1, 1);
      outer.message(2, (inner) => inner.text(1, 'x'));
      outer.message(3, () => undefined);
    }),
  );
  assert.deepEqual(nested, [10, 9, 8, 1, 18, 3, 10, 1, 120, 26, 0]);
  const long = 'x'.repeat(3000);
  const bytes = written((writer) => writer.message(1, (inner) => inner.text(1, long)));
  assert.deepEqual(bytes.slice(0, 6), [10, 0xbb, 0x17, 10, 0xb8, 0x17]);
  assert.equal(bytes.length, 3006);
  assert.ok(bytes.slice(6).every((byte) => byte === 120));
});
