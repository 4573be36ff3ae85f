import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import { dim } from '../../../src/tensor/dims.js';
import { gradients } from '../../../src/tensor/grad.js';
import { joinProducts } from '../../../src/tensor/joinProducts.js';
import { add, exp, mul } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { reshape, slice } from '../../../src/tensor/ops/shape.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { input, variable, weight } from '../../../src/tensor/tensor.js';
import type { Applied, Tensor } from '../../../src/tensor/tensor.js';
import { numbers, relativeError, sumAll } from '../../support/finiteDifferences.js';

const runtime = await onnxRuntime({ threads: 1 });
const pack = variable('pack', [20]);
const x = input('x', 'float32', [dim('rows'), 4]);
const view = (start: number, rows: number): Tensor => reshape(slice(pack, 0, start, start + 4 * rows), [rows, 4]);
const product = (left: Tensor, factor: Tensor): Tensor => matmul(left, factor, { transposeB: true });

function count(tensors: readonly Tensor[], op: string): number {
  return topologicalOrder(tensors).filter((node): node is Applied => node.kind === 'applied' && node.op === op)
    .length;
}

async function valuesOf(outputs: readonly Tensor[]): Promise<number[][]> {
  const named = Object.fromEntries(outputs.map((tensor, index) => [`output ${index}`, tensor]));
  const program = await runtime.compile(named);
  const fill = (shape: readonly number[], seed: number): Value => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { dtype: 'float32', shape, data: Float32Array.from({ length: size }, (_, i) => Math.sin(i * seed)) };
  };
  const values = await program.run({ x: fill([3, 4], 1.3), pack: fill([20], 0.7) });
  await program.dispose();
  return outputs.map((_, index) => numbers(values[`output ${index}`]!));
}

test('products of one tensor by small trainables become one, forward and in the gradients', async () => {
  const [a, b] = [view(0, 2), view(8, 3)];
  const loss = add(sumAll(exp(product(x, a))), sumAll(mul(product(x, b), product(x, b))));
  const [joined] = joinProducts([loss]) as [Tensor];
  assert.deepEqual([count([loss], 'matmul'), count([joined], 'matmul')], [3, 1]);
  const before = [loss, ...gradients(loss, [a, b])];
  const after = [joined, ...gradients(joined, [a, b])];
  // The parts' gradients lie side by side: no sum of padded ones.
  assert.deepEqual([count(after, 'matmul'), count(after, 'pad')], [2, 0]);
  const [expected, found] = [await valuesOf(before), await valuesOf(after)];
  found.forEach((values, index) => assert.ok(relativeError(values, expected[index]!) < 1e-6));
});

test('products behind one another are joined at every depth', async () => {
  const [a, b] = [view(0, 4), view(4, 4)];
  const first = mul(product(x, a), product(x, b));
  const loss = sumAll(mul(product(first, a), product(first, b)));
  const [joined] = joinProducts([loss]) as [Tensor];
  assert.deepEqual([count([loss], 'matmul'), count([joined], 'matmul')], [4, 2]);
  const [[expected], [found]] = [await valuesOf([loss]), await valuesOf([joined])];
  assert.ok(relativeError(found!, expected!) < 1e-6);
});

test('frozen weights, large factors, other forms and single products stay as they are', () => {
  const large = variable('large', [300, 4]);
  const frozen = weight('w', [2, 4]);
  const square = view(0, 4);
  const graphs = [
    [product(x, frozen), product(x, weight('v', [2, 4]))],
    [product(x, large), product(x, variable('larger', [400, 4]))],
    [matmul(x, square), matmul(x, view(4, 4))],
    [matmul(x, square, { transposeB: true, alpha: 2 }), matmul(x, view(4, 4), { transposeB: true, alpha: 2 })],
    [product(x, square), product(exp(x), square)],
    [product(x, square), product(x, add(frozen, view(0, 2)))],
  ];
  for (const outputs of graphs) assert.deepEqual(joinProducts(outputs), outputs);
});
