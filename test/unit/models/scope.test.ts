import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScope } from '../../../src/models/scope.js';
import type { Hooks, Phase } from '../../../src/models/site.js';
import { input } from '../../../src/tensor/tensor.js';
import { site } from '../methods/fakeModel.js';

const x = input('x', 'float32', [2, 8]);

test('hooks act in order, on weight, bias and result, and learn the phase', () => {
  const phase: Phase = { dropoutSeed: input('seed', 'int32', []) };
  const seen: string[] = [];
  const hooks = (name: string): Hooks => ({
    parameter: (at, kind, base, given) => {
      assert.equal(given, phase);
      seen.push(`${name} ${at.path}.${kind}`);
      return base;
    },
    output: (at, _x, y, given) => {
      assert.equal(given, phase);
      seen.push(`${name} ${at.path}`);
      return y;
    },
  });
  const scope = createScope([site('linear', 'q', [4, 8], { bias: 'q.bias' })], [hooks('a'), hooks('b')], phase);
  assert.deepEqual(scope.linear('q', x).shape, [2, 4]);
  assert.deepEqual(seen, ['a q.weight', 'b q.weight', 'a q.bias', 'b q.bias', 'a q', 'b q']);
  assert.deepEqual(
    scope.results.map(({ path }) => path),
    ['q'],
  );
});

test('a Conv1D is multiplied the way it lies; hooks get and return its [in, out]', () => {
  const shapes: (readonly unknown[])[] = [];
  const hooks: Hooks = {
    parameter: (_at, _kind, base) => {
      shapes.push(base.shape);
      return base;
    },
  };
  const sites = [site('linear', 'c', [4, 8], { layout: 'in-out', bias: 'c.bias' })];
  const y = createScope(sites, [hooks], { dropoutSeed: undefined }).linear('c', x);
  assert.deepEqual(y.shape, [2, 4]);
  assert.deepEqual(shapes, [[8, 4], [4]]);
});

test('a layer norm has weight and bias', () => {
  const sites = [site('norm', 'ln', [8], { bias: 'ln.bias' })];
  const scope = createScope(sites, [], { dropoutSeed: undefined });
  assert.deepEqual(scope.layerNorm('ln', x, 1e-5).shape, [2, 8]);
  assert.deepEqual(
    scope.results.map(({ path }) => path),
    ['ln'],
  );
});
