import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptOr } from '../../../webview/kept.js';

test('what a page kept comes back; what another version kept, or nobody, does not', () => {
  const fresh = keptOr(undefined);
  const kept = { ...fresh, folder: '/runs/sql/1', tab: 'log' };
  assert.deepEqual(keptOr(JSON.parse(JSON.stringify(kept))), kept);
  assert.deepEqual(keptOr({ ...kept, version: fresh.version + 1 }), fresh);
  assert.deepEqual(keptOr({ tab: 'log' }), fresh);
  assert.deepEqual(keptOr('log'), fresh);
  const { version, tab } = kept;
  assert.deepEqual(keptOr({ version, tab }), { ...fresh, tab }, 'what is new since begins as it does');
});
