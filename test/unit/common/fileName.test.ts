import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileName } from '../../../src/common/fileName.js';

test('the last part of a path of any system', () => {
  assert.equal(fileName('/a/b.txt'), 'b.txt');
  assert.equal(fileName('C:\\a\\b.txt'), 'b.txt');
  assert.equal(fileName('b.txt'), 'b.txt');
  assert.equal(fileName('/models/SmolLM2/'), 'SmolLM2');
  assert.equal(fileName('/'), '/');
});
