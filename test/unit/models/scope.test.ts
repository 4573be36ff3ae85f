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
