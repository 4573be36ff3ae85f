import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addDims,
  dim,
  dimText,
  fixedShape,
  fixedSize,
  multiplyDims,
  sameDim,
  sameShape,
  shapeText,
  sizeOf,
} from '../../../src/tensor/dims.js';

const batch = dim('batch');
const past = dim('past');
const sequence = dim('sequence');

test('lengths that are equal as polynomials are equal', () => {
  assert.ok(sameDim(addDims(past, sequence), addDims(sequence, past)));
  assert.ok(sameDim(multiplyDims(batch, sequence), multiplyDims(sequence, batch)));
  const left = multiplyDims(batch, addDims(past, sequence));
  const right = addDims(multiplyDims(sequence, batch), multiplyDims(past, batch));
  assert.ok(sameDim(left, right));
  assert.ok(sameDim(addDims(batch, batch), multiplyDims(2, batch)));
  assert.ok(sameDim(multiplyDims(addDims(batch, 1), addDims(batch, -1)), addDims(multiplyDims(batch, batch), -1)));
});

test('lengths that differ are not equal', () => {
  assert.ok(!sameDim(batch, sequence));
  assert.ok(!sameDim(batch, multiplyDims(batch, batch)));
  assert.ok(!sameDim(addDims(batch, 1), batch));
  assert.ok(!sameShape([batch, 1], [batch]));
  assert.ok(!sameShape([batch, 1], [1, batch]));
});

test('a polynomial without symbols is a number', () => {
  assert.equal(addDims(addDims(batch, 3), multiplyDims(batch, -1)), 3);
  assert.equal(multiplyDims(batch, 0), 0);
  assert.equal(addDims(2, 3), 5);
  assert.equal(sizeOf([]), 1);
  assert.equal(sizeOf([2, 3, 4]), 24);
});

test('texts', () => {
  assert.equal(dimText(sizeOf([batch, 2, sequence])), '2·batch·sequence');
  assert.equal(dimText(addDims(sequence, past)), 'past + sequence');
  assert.equal(shapeText([batch, 4, addDims(past, 1)]), '[batch, 4, 1 + past]');
  assert.equal(shapeText([]), '[]');
});

test('fixed shapes', () => {
  assert.equal(fixedSize([2, 3]), 6);
  assert.deepEqual(fixedShape([2, 3]), [2, 3]);
  assert.throws(() => fixedSize([2, batch]), /\[2, batch\] is not fixed/);
});
