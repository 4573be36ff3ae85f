import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isJsonObject } from '../../../src/common/json.js';

test('only objects with keys are JSON objects', () => {
  for (const object of [{}, { a: 1 }]) assert.ok(isJsonObject(object));
  for (const other of [null, [], 'text', 1, true, undefined]) assert.ok(!isJsonObject(other));
});
