import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { markLargest, smallestMagnitudes } from '../../../src/methods/largest.js';

test('the largest numbers over all parts are marked, the first of equal ones', () => {
  const parts = [Float32Array.of(1, 3, 2), Float32Array.of(2, 0, 2)];
  assert.deepEqual(markLargest(parts, 3), [Uint8Array.of(0, 1, 1), Uint8Array.of(1, 0, 0)]);
  assert.deepEqual(markLargest(parts, 0), [Uint8Array.of(0, 0, 0), Uint8Array.of(0, 0, 0)]);
  assert.deepEqual(markLargest(parts, 6), [Uint8Array.of(1, 1, 1), Uint8Array.of(1, 1, 1)]);
});

test('zeros of either sign are the smallest, infinity is the largest', () => {
  const part = Float32Array.of(-0, 1e-45, 0, Infinity, 1e-38);
  assert.deepEqual(markLargest([part], 1), [Uint8Array.of(0, 0, 0, 1, 0)]);
  assert.deepEqual(markLargest([part], 3), [Uint8Array.of(0, 1, 0, 1, 1)]);
  assert.deepEqual(markLargest([part], 4), [Uint8Array.of(1, 1, 0, 1, 1)]);
});

test('what is marked is what sorting gives, also in a part of a buffer', () => {
  const draws = random(7, 'largest');
  // Of few values, so that many are equal; over many orders of magnitude.
  const numbers = Float32Array.from(
    { length: 5000 },
    () => Math.exp(40 * Math.round(draws.uniform() * 50) - 1000) ** 0.05,
  );
  const parts = [numbers.subarray(3, 1000), numbers.subarray(1000)];
  const all = parts.flatMap((part) => [...part]);
  const order = all.map((_, at) => at).sort((a, b) => all[b]! - all[a]! || a - b);
  for (const count of [1, 17, 2500, 4996]) {
    const expected = new Uint8Array(all.length);
    for (const at of order.slice(0, count)) expected[at] = 1;
    assert.deepEqual(
      markLargest(parts, count).flatMap((marks) => [...marks]),
      [...expected],
    );
  }
});

test('the smallest magnitudes over all parts are found, the first of equal ones, whatever their sign', async () => {
  const draws = random(9, 'smallest');
  const numbers = Float32Array.from({ length: 5000 }, () => Math.round((draws.uniform() - 0.5) * 400) / 128);
  numbers.set([-0, 0, Infinity, -Infinity, 1e-45], 2000);
  const parts = [numbers.subarray(3, 1000), numbers.subarray(1000)];
  const all = parts.flatMap((part) => [...part].map(Math.abs));
  const order = all.map((_, at) => at).sort((a, b) => all[a]! - all[b]! || a - b);
  for (const count of [0, 1, 17, 2500, 4996, 4997]) {
    let open = 0;
    const found = await smallestMagnitudes(
      parts.map((part) => async () => {
        open++;
        return Promise.resolve(part);
      }),
      count,
    );
    const flat = found.flatMap((places, at) => [...places].map((place) => place + at * parts[0]!.length));
    assert.deepEqual(
      flat,
      order.slice(0, count).sort((a, b) => a - b),
      String(count),
    );
    assert.equal(open, 3 * parts.length);
  }
});
