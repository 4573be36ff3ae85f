import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variable } from '../../../src/tensor/tensor.js';
import { createState } from '../../../src/training/state.js';
import type { State } from '../../../src/training/state.js';

const variables = [variable('a', [2, 2]), variable('b', [3])];
const start = new Map([['a', Float32Array.of(1, 2, 3, 4)]]);

const stateOf = (numbers: ReadonlyMap<string, Float32Array>, buffers: 1 | 2 = 2): State =>
  createState(
    variables.map((variable) => {
      const own = numbers.get(variable.name);
      return { variable, buffers, part: 'trainables', ...(own === undefined ? {} : { start: own }) };
    }),
  );

test('what was written is present after the swap, what was before is there until the next', () => {
  const state = stateOf(start);
  assert.deepEqual(state.read('b'), new Float32Array(3), 'zero where no start is given');
  const before = state.feeds(['a'])['a']!;
  assert.deepEqual(before.shape, [2, 2]);
  (state.targets(['a'])['a']!.data as Float32Array).set([5, 6, 7, 8]);
  assert.deepEqual([...state.read('a')], [1, 2, 3, 4]);
  state.swap(['a']);
  assert.deepEqual([...state.read('a')], [5, 6, 7, 8]);
  assert.deepEqual([...before.data], [1, 2, 3, 4]);
  assert.equal(state.targets(['a'])['a'], before, 'the two buffers take turns');
});

test('the start becomes one of the two buffers whose bytes are counted', () => {
  const own = Float32Array.of(1, 2, 3, 4);
  const state = stateOf(new Map([['a', own]]));
  assert.equal(state.read('a'), own);
  assert.deepEqual(state.bytes, {
    changedWeights: 0,
    trainables: 2 * 4 * (4 + 3),
    gradients: 0,
    optimizer: 0,
    state: 0,
  });
});

test('wrong sizes and names are errors', () => {
  assert.throws(() => stateOf(new Map([['b', new Float32Array(4)]])), /b has 3 numbers, 4 were given/);
  assert.throws(() => stateOf(start).read('c'), /no variable is named c/);
});

test('a single buffer is read and written, and counts once', () => {
  const state = stateOf(start, 1);
  assert.equal(state.targets(['a'])['a']!.data, state.feeds(['a'])['a']!.data);
  state.swap(['a']);
  assert.deepEqual([...state.read('a')], [1, 2, 3, 4]);
  assert.equal(state.bytes.trainables, 4 * (4 + 3));
});
