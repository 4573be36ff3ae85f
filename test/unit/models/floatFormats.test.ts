import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, halfToNumber } from '../../../src/models/floatFormats.js';

const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

test('every half and every bfloat16 survives widening and narrowing, infinities and signed zeros too', () => {
  for (const [widen, narrow, infinity] of [
    [f16ToF32, f32ToF16, 0x7c00],
    [bf16ToF32, f32ToBf16, 0x7f80],
  ] as const) {
    const back = narrow(widen(all));
    for (const bits of all) {
      const isNan = (bits & 0x7fff) > infinity;
      if (isNan) assert.ok((back[bits]! & 0x7fff) > infinity, `NaN ${bits.toString(16)} became ${back[bits]}`);
      else assert.equal(back[bits], bits);
    }
  }
});

test('known halves', () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0xfc00, 0x8000);
  assert.deepEqual([...f16ToF32(bits)], [1, -2, 65504, 2 ** -14, 2 ** -24, Infinity, -Infinity, -0]);
  assert.equal(halfToNumber(0x3555), 0.333251953125);
  assert.ok(Number.isNaN(halfToNumber(0x7e01)));
});

test('narrowing to half takes the nearest, and the even one of two as near', () => {
  const cases: [number, number][] = [
    [1 + 2 ** -11, 0x3c00], // a tie: down to even
    [1 + 3 * 2 ** -11, 0x3c02], // a tie: up to even
    [1 + 2 ** -11 + 2 ** -20, 0x3c01],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-1e10, 0xfc00],
    [2 ** -25, 0x0000], // half of the smallest subnormal: a tie, to zero
    [2 ** -25 * 1.001, 0x0001],
    [2 ** -26, 0x0000],
    [-(2 ** -30), 0x8000],
    [3 * 2 ** -25, 0x0002], // 1.5 subnormal steps: a tie, to even
    [2 ** -14 - 2 ** -26, 0x0400], // the largest subnormals round up to the smallest normal
    [1e-45, 0x0000],
  ];
  for (const [value, bits] of cases) assert.equal(f32ToF16(Float32Array.of(value))[0], bits, String(value));
});

test('narrowing to bfloat16 takes the nearest, and the even one of two as near', () => {
  const cases: [number, number][] = [
    [1 + 2 ** -8, 0x3f80],
    [1 + 3 * 2 ** -8, 0x3f82],
    [1 + 2 ** -8 + 2 ** -20, 0x3f81],
    [3.4028234663852886e38, 0x7f80],
    [-Infinity, 0xff80],
    [1e-40, 0x0001],
  ];
  for (const [value, bits] of cases) assert.equal(f32ToBf16(Float32Array.of(value))[0], bits, String(value));
});

test('a NaN whose payload is in the low bits only stays a NaN', () => {
  const words = Uint32Array.of(0x7f800001, 0xff800001, 0x7fffffff);
  const values = new Float32Array(words.buffer);
  for (const bits of f32ToBf16(values)) assert.ok((bits & 0x7fff) > 0x7f80);
  for (const bits of f32ToF16(values)) assert.ok((bits & 0x7fff) > 0x7c00);
});

test('a part of a longer array is converted from where it begins', () => {
  const values = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
  assert.deepEqual([...f16ToF32(f32ToF16(values))], [1, 2]);
  assert.deepEqual([...bf16ToF32(f32ToBf16(values))], [1, 2]);
});
