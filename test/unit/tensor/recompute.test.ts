import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { gradients } from '../../../src/tensor/grad.js';
import { add, exp, mul, silu } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { dropout } from '../../../src/tensor/ops/random.js';
import { softmax } from '../../../src/tensor/ops/reduce.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { recomputed } from '../../../src/tensor/recompute.js';
import { input, variable } from '../../../src/tensor/tensor.js';
import type { Applied, Tensor } from '../../../src/tensor/tensor.js';
import { numbers, sumAll } from '../../support/finiteDifferences.js';

const runtime = await onnxRuntime({ threads: 1 });

const x = input('x', 'float32', [2, 3]);
const w = variable('w', [3, 3]);
const feeds = {
  x: { dtype: 'float32', shape: [2, 3], data: Float32Array.of(0.5, -1, 2, 0.25, 3, -2) },
  w: { dtype: 'float32', shape: [3, 3], data: Float32Array.of(1, 0.5, -1, 2, 0.125, 1, -0.5, 1, 3) },
} as const;

function nodes(tensors: readonly Tensor[], op: string): Applied[] {
  return topologicalOrder(tensors).filter((node): node is Applied => node.kind === 'applied' && node.op === op);
}

function dependsOn(tensor: Tensor, other: Tensor): boolean {
  return topologicalOrder([tensor]).includes(other);
}

async function valuesOf(outputs: Readonly<Record<string, Tensor>>): Promise<Record<string, number[]>> {
  const program = await runtime.compile(outputs);
  const values = await program.run({ ...feeds, seed: { dtype: 'int32', shape: [], data: Int32Array.of(7) } });
  await program.dispose();
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, numbers(value)]));
}

test('a cheap result is computed again after the gradient that needs it is there', () => {
  const kept = matmul(x, w);
  const active = silu(kept);
  const last = matmul(active, w);
  const loss = sumAll(exp(last));
  const [gradient] = gradients(loss, [w]);
  const [first, second, ...others] = nodes([loss, gradient!], 'silu');
  assert.equal(others.length, 0);
  assert.equal(first, active);
  // The copy starts from what is kept, behind the loss's own gradient by `last`.
  const [barrier] = nodes([second!], 'after');
  assert.equal(barrier!.inputs[0], kept);
  assert.ok(dependsOn(barrier!.inputs[1]!, last));
});

test('a chain is computed again as a whole, and once for all who need it', () => {
  const kept = matmul(x, w);
  const gated = mul(silu(kept), silu(mul(kept, kept)));
  const loss = sumAll(exp(add(matmul(gated, w), matmul(gated, matmul(w, w)))));
  const [gradient] = gradients(loss, [w]);
  assert.equal(nodes([loss], 'silu').length, 2);
  assert.equal(nodes([loss, gradient!], 'silu').length, 4);
  const barriers = nodes([gradient!], 'after').map(({ inputs }) => inputs);
  assert.ok(barriers.every(([source, upstream]) => source === kept && upstream === barriers[0]![1]));
});

test('what the gradient needs as it was is not computed again', () => {
  const kept = softmax(silu(matmul(x, w)));
  const loss = sumAll(exp(kept));
  const [gradient] = gradients(loss, [w]);
  assert.deepEqual(nodes([loss, gradient!], 'softmax'), [kept]);
});

test('a dropped input is dropped again by the mask that was kept', async () => {
  const seed = input('seed', 'int32', []);
  const dropped = dropout(x, 0.5, seed, 3);
  const loss = sumAll(matmul(dropped, w));
  const [gradient] = gradients(loss, [w]);
  assert.equal(nodes([loss, gradient!], 'greaterOrEqual').length, 1);
  const { dropped: mask, gradient: found } = await valuesOf({ dropped, gradient: gradient! });
  const columns = [0, 1, 2].map((column) => mask![column]! + mask![column + 3]!);
  assert.ok(mask!.includes(0) && mask!.some((value) => value !== 0));
  assert.deepEqual(
    found,
    columns.flatMap((sum) => [sum, sum, sum]),
  );
});

test('recomputed marks everything between a tensor and what is kept, with the same numbers', async () => {
  const build = (mark: (weights: Tensor, kept: readonly Tensor[]) => Tensor): Record<string, Tensor> => {
    const q = matmul(x, w);
    const k = matmul(mul(x, x), w);
    const weights = mark(softmax(matmul(q, k, { transposeB: true })), [q, k]);
    const loss = sumAll(exp(matmul(weights, k)));
    return { loss, gradient: gradients(loss, [w])[0]! };
  };
  const [plain, marked] = [build((weights) => weights), build(recomputed)];
  const count = (graph: Record<string, Tensor>, op: string): number => nodes(Object.values(graph), op).length;
  assert.equal(count(plain, 'softmax'), 1);
  assert.equal(count(marked, 'softmax'), 2);
  assert.equal(count(marked, 'matmul'), count(plain, 'matmul') + 1);
  assert.deepEqual(await valuesOf(marked), await valuesOf(plain));
});

test('gradients of gradients recompute too', async () => {
  const loss = sumAll(exp(matmul(silu(matmul(x, w)), w)));
  const [first] = gradients(loss, [w]);
  const [second] = gradients(sumAll(mul(first!, first!)), [w]);
  const values = await valuesOf({ second: second! });
  assert.ok(values['second']!.every(Number.isFinite));
});
