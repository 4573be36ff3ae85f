import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onnxRuntime } from '../../../../src/runtime/onnxruntime.js';
import { descendingRank } from '../../../../src/tensor/ops/sorting.js';
import { input } from '../../../../src/tensor/tensor.js';
import { numbers } from '../../../support/finiteDifferences.js';

const runtime = await onnxRuntime({ threads: 1 });

async function ranks(values: readonly number[]): Promise<number[]> {
  const program = await runtime.compile({ rank: descendingRank(input('x', 'float32', [values.length])) });
  const x = { dtype: 'float32', shape: [values.length], data: Float32Array.from(values) } as const;
  const result = numbers((await program.run({ x }))['rank']!);
  await program.dispose();
  return result.map(Number);
}

test('places from the largest down; of equal ones the first comes first', async () => {
  assert.deepEqual(await ranks([0.5, 3, -1, 3, 0.5, 7]), [3, 1, 5, 2, 4, 0]);
  const equal = Array.from({ length: 300 }, () => 0);
  assert.deepEqual(
    await ranks(equal),
    equal.map((_, at) => at),
  );
});

test('NaN comes last, infinities where they belong', async () => {
  assert.deepEqual(await ranks([NaN, 1, Infinity, NaN, -3]), [3, 1, 0, 4, 2]);
});

test('only vectors of floats have places', () => {
  assert.throws(() => descendingRank(input('x', 'float32', [2, 3])), /needs a vector of floats/);
});
