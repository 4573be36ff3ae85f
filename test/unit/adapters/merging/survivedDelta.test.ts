import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_DELTA, addSums, deltaSums, survivedDelta } from '../../../../src/adapters/merging/survivedDelta.js';
import { ggufTypeNamed } from '../../../../src/models/ggufTypes.js';

const of = (...values: number[]): Float32Array => Float32Array.from(values);

test('whole, half, turned around and lost: in closed form', () => {
  const base = of(1, 2, -1);
  const merged = of(2, 2, 1);
  const survived = (written: Float32Array) => survivedDelta(deltaSums(base, merged, written));
  assert.deepEqual(survived(merged), { survived: 1, error: 0 });
  assert.deepEqual(survived(base), { survived: 0, error: 1 });
  assert.deepEqual(survived(of(1.5, 2, 0)), { survived: 0.5, error: 0.5 });
  assert.deepEqual(survived(of(0, 2, -3)), { survived: -1, error: 2 });
  // What is added at right angles is error alone.
  assert.deepEqual(survived(of(2, 7, 1)), { survived: 1, error: Math.sqrt(25 / 5) });
});

test('sums of tensors are those of all their numbers', () => {
  const [base, merged, written] = [of(1, 2, 3, 4), of(2, 2, 5, 4), of(1, 3, 5, 5)];
  const [left, right] = [(x: Float32Array) => x.subarray(0, 2), (x: Float32Array) => x.subarray(2)];
  const parts = [left, right].map((half) => deltaSums(half(base), half(merged), half(written)));
  assert.deepEqual(parts.reduce(addSums, NO_DELTA), deltaSums(base, merged, written));
  assert.deepEqual(survivedDelta(NO_DELTA), { survived: 1, error: 0 });
});

test('a row of 4 bits: less than half a step is rounded away, more than half becomes a whole one', () => {
  const type = ggufTypeNamed('Q4_0')!;
  // Steps of 1, from −8 to 7, the ends of which stay.
  const base = Float32Array.from({ length: 32 }, (_, at) => (at % 16) - 8);
  assert.deepEqual(type.dequantize(type.quantize(base)), base);
  const merged = (delta: number) =>
    base.map((value, at) => (at % 16 === 0 ? value : value + (at % 16 === 15 ? -delta : delta)));
  const survived = (delta: number) => {
    const moved = merged(delta);
    return survivedDelta(deltaSums(base, moved, type.dequantize(type.quantize(moved)))).survived;
  };
  assert.equal(survived(0.4), 0);
  assert.ok(Math.abs(survived(0.6) - 1 / 0.6) < 1e-5);
  assert.equal(survived(1), 1);
});
