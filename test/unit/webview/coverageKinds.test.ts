import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moduleCount } from '../../../src/methods/coverage.js';
import { coveredKinds, runsOf, sharersOf } from '../../../webview/coverageKinds.js';

const moduleOf = (path: string, shape: number[], trainable: number) => ({ path, shape, trainable });

test('covered modules are summed up by kind, with the layers that have them', () => {
  const kinds = coveredKinds({
    modules: [
      moduleOf('model.embed_tokens', [100, 8], 5),
      moduleOf('model.layers.0.q', [8, 8], 16),
      moduleOf('model.layers.1.q', [8, 8], 16),
      moduleOf('model.layers.3.q', [8, 4], 12),
      moduleOf('model.layers.3.up', [24, 8], 32),
    ],
  });
  assert.deepEqual(kinds, [
    { kind: 'q', layers: '0–1, 3', shapes: '8 × 8, 8 × 4', modules: 3, trainable: 44 },
    { kind: 'up', layers: '3', shapes: '24 × 8', modules: 1, trainable: 32 },
    { kind: 'model.embed_tokens', layers: '', shapes: '100 × 8', modules: 1, trainable: 5 },
  ]);
});

test('a factor of several modules is none, and stands in their layers', () => {
  const paths = ['model.layers.0.q', 'model.layers.1.q'];
  const name = 'model.layers.*.q (L, R)';
  const modules = [...paths.map((path) => moduleOf(path, [8, 8], 4)), moduleOf(name, [8, 8], 32)];
  const covered = { modules, shared: [{ name, paths }] };
  assert.deepEqual(coveredKinds(covered).at(-1), {
    kind: name,
    layers: '0–1',
    shapes: '8 × 8',
    modules: 0,
    trainable: 32,
  });
  assert.equal(moduleCount(covered), 2);
  assert.equal(moduleCount({ modules }), 3);
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
