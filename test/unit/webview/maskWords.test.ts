import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMask } from '../../../webview/maskWords.js';

test('only a mask whose values are still to come is told to have none yet', () => {
  const mask = { rows: 4, columns: 5, indices: Uint32Array.of(1, 7) };
  assert.match(describeMask(mask), /2 numbers train, .*; no values are written yet\.$/);
  assert.match(describeMask({ ...mask, values: new Float32Array(2), valuesOf: 'adapter' }), /of the adapter\.$/);
  assert.match(describeMask({ ...mask, values: new Float32Array(2), valuesOf: 1200 }), /step 1,200\.$/);
  assert.match(describeMask({ ...mask, valueless: true }), /^4 × 5: 2 numbers train, [^;]*\.$/);
  assert.match(describeMask({ ...mask, learned: true }), /^4 × 5: 2 weights are on, [^;]*\.$/);
});
