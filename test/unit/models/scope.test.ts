import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScope } from '../../../src/models/scope.js';
import type { Hooks, Phase, SublayerPlace } from '../../../src/models/site.js';
import { add } from '../../../src/tensor/ops/elementwise.js';
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

test('methods change what a sublayer adds, each on what the one before made of it', () => {
  const place: SublayerPlace = { kind: 'feed-forward', path: 'mlp', layer: 0 };
  const output = input('output', 'float32', [2, 8]);
  const seen: unknown[] = [];
  const hooks: Hooks = {
    sublayer: (at, tensors) => {
      assert.equal(at, place);
      seen.push(tensors.output);
      return add(tensors.output, tensors.input);
    },
  };
  const scope = createScope([], [hooks, {}, hooks], { dropoutSeed: undefined });
  const result = scope.sublayer(place, { input: x, output, residual: x });
  assert.equal(seen[0], output);
  assert.notEqual(seen[1], output);
  assert.deepEqual(scope.results, [{ path: 'mlp', result }]);

  const plain = createScope([], [], { dropoutSeed: undefined });
  assert.equal(plain.sublayer(place, { input: x, output, residual: x }), output);
  assert.deepEqual(plain.results, []);
});

test('methods change what a stack reads, each on what the one before made of it', () => {
  const seen: unknown[] = [];
  const hooks: Hooks = {
    stackInput: (stack, tensor) => {
      seen.push([stack, tensor]);
      return add(tensor, 1);
    },
  };
  const scope = createScope([], [hooks, {}, hooks], { dropoutSeed: undefined });
  const result = scope.stackInput('encoder', x);
  assert.deepEqual(seen[0], ['encoder', x]);
  assert.equal(seen.length, 2);
  assert.notEqual(result, x);
  assert.equal(createScope([], [{}], { dropoutSeed: undefined }).stackInput('decoder', x), x);
});
