import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTogether } from '../../../src/generation/decoder.js';
import type { Decoder } from '../../../src/generation/decoder.js';

/** A decoder that notes that it is let go. */
const noting = (name: string, gone: string[]): Decoder => ({
  vocabSize: 1,
  positionLimit: 1,
  read: () => assert.fail('nothing is read'),
  use: () => undefined,
  dispose: () => Promise.resolve(void gone.push(name)),
});

test('of decoders that are to work together, those before one that fails are let go', async () => {
  const gone: string[] = [];
  const both = await createTogether([() => noting('a', gone), () => Promise.resolve(noting('b', gone))]);
  assert.deepEqual([both.length, gone], [2, []]);
  const never: string[] = [];
  const failing = createTogether([
    () => noting('a', gone),
    () => noting('b', gone),
    () => Promise.reject(new Error('no memory')),
    () => noting(never[never.push('made') - 1]!, gone),
  ]);
  await assert.rejects(failing, /no memory/);
  assert.deepEqual([gone, never], [['a', 'b'], []]);
  // One that throws at once, too.
  await assert.rejects(createTogether([() => noting('c', gone), () => assert.fail('at once')]), /at once/);
  assert.deepEqual(gone, ['a', 'b', 'c']);
});
