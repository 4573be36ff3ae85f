import assert from 'node:assert/strict';
import { test } from 'node:test';
import { macroF1 } from '../../../src/training/macroF1.js';

function rows(wanted: readonly number[], told: readonly number[]) {
  return wanted.map((each, at) => ({ wanted: each, told: told[at]! }));
}

test("macro F1 is scikit-learn's f1_score(average='macro')", () => {
  // f1_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average='macro'), the example of its documentation
  assert.ok(Math.abs(macroF1(rows([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1])) - 0.8 / 3) < 1e-12);
  // f1_score([0, 0, 0, 1], [0, 0, 2, 1], average='macro'): a class that no row has counts with 0
  assert.ok(Math.abs(macroF1(rows([0, 0, 0, 1], [0, 0, 2, 1])) - (0.8 + 1 + 0) / 3) < 1e-12);
  assert.equal(macroF1(rows([1, 0], [1, 0])), 1);
  assert.ok(Number.isNaN(macroF1([])));
});
