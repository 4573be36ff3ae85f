import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName } from '../../../src/common/nearest.js';

const OPTIONS = ['r', 'lora_alpha', 'lora_dropout', 'target_modules', 'use_rslora', 'bias'];

test('finds the name behind a slip: a letter changed, left out, added, swapped, in another case', () => {
  for (const slip of ['lora_alpho', 'lora_alpa', 'lora_alphaa', 'lora_alhpa', 'LORA_ALPHA', 'loraalpha']) {
    assert.equal(nearestName(slip, OPTIONS), 'lora_alpha', slip);
  }
  assert.equal(nearestName('target_module', OPTIONS), 'target_modules');
});

test('of several near ones takes the nearest', () => {
  assert.equal(nearestName('q_prj', ['k_proj', 'q_proj', 'v_proj']), 'q_proj');
});

test('finds nothing where nothing is near', () => {
  assert.equal(nearestName('learning_rate', OPTIONS), undefined);
  assert.equal(nearestName('lora', OPTIONS), undefined);
  assert.equal(nearestName('anything', []), undefined);
});

test('a swap of neighbours is one slip, so a name of three letters may have one', () => {
  assert.equal(nearestName('ba', ['ab']), 'ab');
  assert.equal(nearestName('bac', ['abc']), 'abc');
  assert.equal(nearestName('cab', ['abc']), undefined);
});
