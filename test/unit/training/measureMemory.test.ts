import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryMeter, mappedBytes } from '../../../src/training/measureMemory.js';

const HELD = { changedWeights: 0, trainables: 0, gradients: 0, optimizer: 0, state: 0 };

const SMAPS = `7f10-7f20 r--p 00000000 103:02 4711                       /m/model one.safetensors
Size:               1000 kB
Rss:                 700 kB
Pss:                 700 kB
Anonymous:           100 kB
VmFlags: rd mr mw me
7f20-7f30 r--p 00001000 103:02 4711                       /m/model one.safetensors
Rss:                  24 kB
Anonymous:             0 kB
7f30-7f40 r-xp 00000000 103:02 4712                       /usr/lib/libc.so
Rss:                 300 kB
Anonymous:             0 kB
7f40-7f50 rw-p 00000000 00:00 0
Rss:                 900 kB
Anonymous:           900 kB
7f50-7f60 rw-p 00000000 00:00 0                          [heap]
Rss:                  90 kB
Anonymous:            90 kB
`;

test('mapped weights: pages of their files, without those that were written to', () => {
  assert.equal(mappedBytes(SMAPS, new Set(['/m/model one.safetensors'])), 1024 * (700 - 100 + 24));
  assert.equal(mappedBytes(SMAPS, new Set(['/m/other'])), 0);
});

test('on Linux the parts add up to what is resident', { skip: process.platform !== 'linux' }, () => {
  const meter = createMemoryMeter([process.execPath]);
  const bytes = new Float32Array(2 ** 22).fill(1);
  const { resident, peakResident, parts } = meter.measure({ ...HELD, trainables: bytes.byteLength });
  const sum = Object.values(parts).reduce((total, each) => total + each, 0);
  assert.equal(parts.trainables, bytes.byteLength);
  assert.ok(parts.mappedWeights! > 0, 'the program is a mapped file, too');
  // Zero where more is known than is resident: of numbers that nobody touched yet.
  assert.ok(Math.abs(sum - resident) < 0.05 * resident, `${sum} of ${resident}`);
  assert.ok(peakResident >= resident);
});

test('what compiling leaves is native', { skip: process.platform !== 'linux' }, async () => {
  const meter = createMemoryMeter([]);
  const before = meter.measure(HELD).parts.native!;
  assert.equal(await meter.native(async () => 7), 7);
  assert.ok(meter.measure(HELD).parts.native! >= before);
});
