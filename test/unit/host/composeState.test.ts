import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeArguments, isWanted, restoredMixture } from '../../../src/host/composeState.js';
import { recordOf } from '../engines/composition/records.js';

const WANTED = { adapters: ['/w/a', '/w/b'], data: '/w/five-rows.jsonl', budget: 12 };

test('what is wanted is said to the command line', () => {
  assert.deepEqual(composeArguments(WANTED), [
    'compose',
    '/w/a',
    '/w/b',
    '--data=/w/five-rows.jsonl',
    '--budget=12',
  ]);
  assert.deepEqual(composeArguments({ ...WANTED, model: 'm', heldOut: 'h' }).slice(-2), [
    '--model=m',
    '--evaluate=h',
  ]);
  assert.ok(isWanted(WANTED));
  for (const other of [
    undefined,
    { kind: 'base', key: 'x' },
    { ...WANTED, adapters: [1] },
    { ...WANTED, model: 3 },
  ]) {
    assert.ok(!isWanted(other));
  }
});

test('what a page kept is shown again: a search that ran has stopped, and what is damaged is left out', () => {
  const search = recordOf([[[0, 0], 2]]);
  const kept = { wanted: WANTED, search, state: { kind: 'running', activity: 'x' } };
  assert.deepEqual(restoredMixture(JSON.parse(JSON.stringify(kept))), {
    wanted: WANTED,
    search,
    state: { kind: 'stopped' },
  });
  const ended = { search, state: { kind: 'ended' }, out: '/w/mixed' };
  assert.deepEqual(restoredMixture(ended), ended);
  const failed = { state: { kind: 'failed', message: 'why' } };
  assert.deepEqual(restoredMixture(failed), failed);
  assert.deepEqual(restoredMixture({ wanted: 3, search: { trials: [] }, out: 4 }), { state: { kind: 'stopped' } });
  assert.deepEqual(restoredMixture(undefined), { state: { kind: 'ended' } });
});
