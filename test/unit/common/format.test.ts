import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatLoss,
  formatPercent,
  formatRate,
  formatTick,
} from '../../../src/common/format.js';

test('bytes, counts and shares', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1536), '1.5 KiB');
  assert.equal(formatBytes(671 * 1024 ** 2), '671 MiB');
  assert.equal(formatCount(134515008), '134,515,008');
  assert.equal(formatCount(999), '999');
  assert.equal(formatPercent(0.0051), '0.51 %');
  assert.equal(formatPercent(0.5), '50.0 %');
  assert.equal(formatPercent(0 / 0), '–');
});

test('durations carry their units over', () => {
  assert.equal(formatDuration(8.44), '8.4 s');
  assert.equal(formatDuration(59.6), '1 min 00 s');
  assert.equal(formatDuration(65), '1 min 05 s');
  assert.equal(formatDuration(7380), '2 h 03 min');
});

test('losses and rates keep their digits', () => {
  assert.equal(formatLoss(1.23456), '1.235');
  assert.equal(formatLoss(123456), '1.23e+5');
  assert.equal(formatLoss(NaN), 'NaN');
  assert.equal(formatRate(0.0002), '2.0e-4');
  assert.equal(formatRate(0), '0');
  assert.equal(formatTick(3.2), '3.2');
  assert.equal(formatTick(0), '0');
  assert.equal(formatTick(1e-5), '1.0e-5');
});
