import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coveredKinds, runsOf, sharersOf } from '../../../webview/coverageKinds.js';

test('covered modules are summed up by kind, with the layers that have them', () => {
  const of = (path: string, shape: number[], trainable: number) => ({ path, shape, trainable });
  const kinds = coveredKinds([
    of('model.embed_tokens', [100, 8], 5),
    of('model.layers.0.q', [8, 8], 16),
    of('model.layers.1.q', [8, 8], 16),
    of('model.layers.3.q', [8, 4], 12),
    of('model.layers.3.up', [24, 8], 32),
  ]);
  assert.deepEqual(kinds, [
    { kind: 'q', layers: '0–1, 3', shapes: '8 × 8, 8 × 4', modules: 3, trainable: 44 },
    { kind: 'up', layers: '3', shapes: '24 × 8', modules: 1, trainable: 32 },
    { kind: 'model.embed_tokens', layers: '', shapes: '100 × 8', modules: 1, trainable: 5 },
  ]);
});

test('runs of numbers are drawn together', () => {
  assert.equal(runsOf([]), '');
  assert.equal(runsOf([2]), '2');
  assert.equal(runsOf([0, 1, 2, 5, 7, 8]), '0–2, 5, 7–8');
});

test('modules that share a factor are told by kind, with their layers; others by their path', () => {
  const of = (layers: readonly number[], name: string): string[] =>
    layers.map((at) => `model.layers.${at}.${name}`);
  assert.deepEqual(
    sharersOf([...of([0, 1, 2, 4], 'self_attn.q_proj'), ...of([1, 4], 'self_attn.o_proj'), 'lm_head']),
    ['self_attn.q_proj (0–2, 4)', 'self_attn.o_proj (1, 4)', 'lm_head'],
  );
  assert.deepEqual(sharersOf([]), []);
});
