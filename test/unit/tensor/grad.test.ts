import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildOnnxModel } from '../../../src/runtime/onnxModel.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { gradients } from '../../../src/tensor/grad.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { add, exp, mul, stopGradient } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { slice } from '../../../src/tensor/ops/shape.js';
import { input, scalar, variable } from '../../../src/tensor/tensor.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { numbers, relativeError, sumAll } from '../../support/finiteDifferences.js';

const runtime = await onnxRuntime({ threads: 1 });

function count(tensors: readonly Tensor[], op: string): number {
  return topologicalOrder(tensors).filter((node) => node.kind === 'applied' && node.op === op).length;
}

test('stopGradient keeps the value and hides the path', async () => {
  const x = input('x', 'float64', [2]);
  const loss = sumAll(mul(x, stopGradient(exp(x))));
  const [gradient] = gradients(loss, [x]);
  const program = await runtime.compile({ gradient: gradient!, loss });
  const data = Float64Array.of(1, -2);
  const values = await program.run({ x: { dtype: 'float64', shape: [2], data } });
  assert.ok(relativeError(numbers(values['gradient']!), [Math.exp(1), Math.exp(-2)]) < 1e-14);
  assert.ok(relativeError(numbers(values['loss']!), [Math.exp(1) - 2 * Math.exp(-2)]) < 1e-14);
});

test('below the lowest trainable there is no backward pass', () => {
  const layers = 6;
  const trainableFrom = 4;
  const x = input('x', 'float32', [3, 4]);
  const weights = Array.from({ length: layers }, (_, layer) => input(`w${layer}`, 'float32', [4, 4]));
  const loss = sumAll(weights.reduce<Tensor>((hidden, w) => exp(matmul(hidden, w)), x));
  const trainables = weights.slice(trainableFrom);
  const gradient = gradients(loss, trainables);
  const forward = count([loss], 'matmul');
  // Backward: one product for each trainable weight, one for each input between the trainable layers.
  const backward = trainables.length + (trainables.length - 1);
  assert.equal(forward, layers);
  assert.equal(count([loss, ...gradient], 'matmul'), forward + backward);
});

test('a tensor that is used twice gets the sum of both', async () => {
  const x = input('x', 'float64', []);
  const y = mul(x, x);
  const [gradient] = gradients(add(add(mul(y, x), y), x), [x]);
  const program = await runtime.compile({ gradient: gradient! });
  const values = await program.run({ x: { dtype: 'float64', shape: [], data: Float64Array.of(3) } });
  assert.deepEqual(numbers(values['gradient']!), [3 * 9 + 2 * 3 + 1]);
});

test('gradients by a tensor inside the graph, and by the loss itself', async () => {
  const x = input('x', 'float64', []);
  const inner = exp(x);
  const loss = mul(inner, inner);
  const [byInner, byLoss] = gradients(loss, [inner, loss]);
  const program = await runtime.compile({ byInner: byInner!, byLoss: byLoss! });
  const values = await program.run({ x: { dtype: 'float64', shape: [], data: Float64Array.of(0.5) } });
  assert.ok(relativeError(numbers(values['byInner']!), [2 * Math.exp(0.5)]) < 1e-14);
  assert.deepEqual(numbers(values['byLoss']!), [1]);
});

test('a loss that does not depend on a variable is an error that names it', () => {
  const x = variable('lora.A', [2, 3], 'float64');
  const loss = sumAll(exp(input('y', 'float64', [2])));
  assert.throws(() => gradients(loss, [x]), /the loss does not depend on lora\.A \[2, 3\]/);
});

test('a loss with axes is an error that shows them', () => {
  const x = input('x', 'float64', [2, 3]);
  assert.throws(() => gradients(exp(x), [x]), /no axes.*\[2, 3\]/);
});

test('what nothing asks for is not in the model', () => {
  const x = input('x', 'float32', [2]);
  const unused = input('unused', 'float32', [2]);
  const y = exp(x);
  gradients(sumAll(matmulOfRows(mul(y, unused))), [x]);
  const model = buildOnnxModel([{ y }], () => undefined);
  assert.deepEqual([...model.inputs.keys()], ['x']);
  const text = Buffer.from(model.bytes).toString('latin1');
  assert.ok(text.includes('Exp') && !text.includes('MatMul') && !text.includes('unused'));
});

test('a graph of 20,000 ops is differentiated and written without overflowing the stack', async () => {
  const depth = 20_000;
  const x = input('x', 'float64', []);
  let y: Tensor = x;
  for (let i = 0; i < depth; i++) y = add(y, x);
  const [gradient] = gradients(y, [x]);
  assert.equal(count([y], 'add'), depth);
  assert.equal(count([gradient!], 'add'), depth);
  assert.ok(buildOnnxModel([{ y, gradient: gradient! }], () => undefined).bytes.length > depth);
});

test('inputs come before their users, each once', () => {
  const x = input('x', 'float64', []);
  const shared = exp(x);
  const order = topologicalOrder([mul(shared, shared), add(shared, scalar(2, 'float64')), shared]);
  assert.equal(new Set(order).size, order.length);
  const place = new Map(order.map((node, index) => [node, index]));
  for (const node of order) {
    if (node.kind !== 'applied') continue;
    for (const source of node.inputs) assert.ok(place.get(source)! < place.get(node)!);
  }
});

function matmulOfRows(x: Tensor): Tensor {
  return matmul(input('row', 'float32', [1, 2]), matmul(input('column', 'float32', [2, 1]), asRow(x)));
}

function asRow(x: Tensor): Tensor {
  return add(x, input('zeros', 'float32', [1, 2]));
}

test('gradients of slices that fill a tensor are joined; others are added', async () => {
  const x = input('x', 'float64', [3, 4]);
  const parts = [slice(x, 1, 0, 1), slice(x, 1, 1, 4)];
  const squares = parts.map((part) => sumAll(mul(part, part)));
  const [whole] = gradients(add(squares[1]!, squares[0]!), [x]);
  assert.deepEqual([count([whole!], 'pad'), count([whole!], 'concat')], [0, 1]);
  const overlapping = slice(x, 1, 0, 2);
  const [summed] = gradients(add(squares[1]!, sumAll(mul(overlapping, overlapping))), [x]);
  const [alone] = gradients(squares[1]!, [x]);
  assert.deepEqual([count([summed!], 'pad'), count([alone!], 'pad')], [2, 1]);
  const program = await runtime.compile({ whole: whole!, summed: summed!, alone: alone! });
  const data = Float64Array.from({ length: 12 }, (_, index) => index);
  const values = await program.run({ x: { dtype: 'float64', shape: [3, 4], data } });
  const twice = (factors: readonly number[]): number[] => [...data].map((value, at) => value * factors[at % 4]!);
  assert.deepEqual(numbers(values['whole']!), twice([2, 2, 2, 2]));
  assert.deepEqual(numbers(values['summed']!), twice([2, 4, 2, 2]));
  assert.deepEqual(numbers(values['alone']!), twice([0, 2, 2, 2]));
});
