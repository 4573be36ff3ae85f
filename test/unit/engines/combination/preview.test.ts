import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  quantitiesOf,
  quantityKey,
  ranksOf,
  sharedByChance,
  valueOf,
} from '../../../../src/engines/combination/preview.js';
import { combinedModule, previewOf } from './combinations.js';

const PAIR = { adapters: [0, 1], cosine: -0.25, shared: 0.3, sharedByChance: 0.1, signConflicts: 0.625 } as const;

test('a map can show what a preview has numbers of, and no more', () => {
  const keys = (preview: Parameters<typeof quantitiesOf>[0]): readonly string[] =>
    quantitiesOf(preview).map(quantityKey);
  const plain = [combinedModule('model.layers.0.q'), combinedModule('model.layers.1.q')];
  assert.deepEqual(keys(previewOf(plain)), ['norm', 'own-norm-0', 'own-norm-1', 'signs', 'cosine', 'shared']);
  const pruned = plain.map((each) => ({ ...each, error: 0.1, pruned: { numbers: 0.7, squares: 0.2 } }));
  assert.deepEqual(keys(previewOf(pruned)).slice(-2), ['lost', 'pruned']);
  const ranks = [plain[0]!, combinedModule('model.layers.1.q', { rank: 8 })];
  assert.equal(keys(previewOf(ranks)).at(-1), 'rank');
  const alone = plain.map((each) => ({ ...each, norms: [5], pairs: [] }));
  const one = previewOf(alone, { from: [{ folder: '/a', peft_type: 'LORA', weight: 1 }] });
  assert.deepEqual(keys(one), ['norm']);
  assert.deepEqual(keys(previewOf([])), []);
});

test('of several pairs of adapters the mean is shown, of those that have the number', () => {
  const pairs = [
    PAIR,
    { ...PAIR, cosine: 0.75, signConflicts: null },
    { ...PAIR, cosine: null, sharedByChance: 0.4 },
  ];
  const module = combinedModule('model.layers.0.q', { pairs });
  assert.equal(valueOf(module, { kind: 'cosine' }), 0.25);
  assert.equal(valueOf(module, { kind: 'signs' }), 0.625);
  assert.ok(Math.abs(sharedByChance(module)! - 0.2) < 1e-12);
  const none = combinedModule('model.layers.0.q', { pairs: [] });
  assert.equal(valueOf(none, { kind: 'cosine' }), undefined);
});

test('ranks are those of the modules that have one', () => {
  assert.deepEqual(ranksOf([{ rank: 8 }, { rank: 2 }, {}]), [2, 8]);
  assert.equal(ranksOf([{}]), undefined);
});
