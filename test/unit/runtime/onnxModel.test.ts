import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildOnnxModel } from '../../../src/runtime/onnxModel.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { addDims, dim, multiplyDims } from '../../../src/tensor/dims.js';
import { dimValue, iota } from '../../../src/tensor/ops/dimValue.js';
import { add, exp, mul, silu } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { rmsNorm } from '../../../src/tensor/ops/normalization.js';
import { rotary } from '../../../src/tensor/ops/rotary.js';
import { addAt } from '../../../src/tensor/ops/indexing.js';
import { expand, reshape } from '../../../src/tensor/ops/shape.js';
import { constant, input, variable, weight } from '../../../src/tensor/tensor.js';
import type { DType, Tensor } from '../../../src/tensor/tensor.js';
import { numbers } from '../../support/finiteDifferences.js';

const textOf = (outputs: Record<string, Tensor>): string =>
  Buffer.from(buildOnnxModel([outputs], () => ({ file: 'f', offset: 0, length: 8 })).bytes).toString('latin1');

test('the fused ops are used in float32 and only there', () => {
  const outputs = (dtype: DType): Record<string, Tensor> => {
    const x = input('x', dtype, [1, 1, 2, 4]);
    const table = constant([1, 1, 1, 1], [2, 2], dtype);
    const w = constant([1, 1, 1, 1], [4], dtype);
    return {
      silu: silu(x),
      norm: rmsNorm(x, w, 1e-5),
      product: matmul(x, x, { transposeB: true }),
      turned: rotary(x, input('p', 'int32', [1, 2]), table, table),
    };
  };
  const fused = ['QuickGelu', 'SimplifiedLayerNormalization', 'FusedMatMul', 'RotaryEmbedding'];
  const [single, double] = [textOf(outputs('float32')), textOf(outputs('float64'))];
  for (const op of fused) {
    assert.ok(single.includes(op), op);
    assert.ok(!double.includes(op), op);
  }
});

test('a length that no input binds is named', () => {
  const x = input('x', 'float32', [1]);
  assert.throws(() => textOf({ y: expand(x, [dim('width')]) }), /axis of length width/);
  const product = input('x', 'float32', [multiplyDims(dim('batch'), dim('width'))]);
  assert.throws(() => textOf({ y: add(product, dimValue(dim('batch'), 'float32')) }), /axis of length batch/);
});

test('lengths are computed from the inputs that have them', async () => {
  const [past, sequence] = [dim('past'), dim('sequence')];
  const total = addDims(addDims(multiplyDims(past, sequence), multiplyDims(sequence, 2)), -1);
  const inputs = [input('p', 'float32', [past]), input('s', 'float32', [1, sequence])] as const;
  const outputs = { total: dimValue(total, 'int64'), range: iota(total, 'float32') };
  const touch = { p: add(inputs[0], 1), s: add(inputs[1], 1) };
  const program = await (
    await onnxRuntime({ threads: 1 })
  ).compile({ ...outputs, touchedP: touch.p, touchedS: touch.s });
  const values = await program.run({
    p: { dtype: 'float32', shape: [3], data: new Float32Array(3) },
    s: { dtype: 'float32', shape: [1, 2], data: new Float32Array(2) },
  });
  assert.deepEqual(numbers(values['total']!), [3 * 2 + 2 * 2 - 1]);
  assert.deepEqual(numbers(values['range']!), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a weight and the trainable copy of it may have one name', () => {
  const text = textOf({ y: add(weight('w', [2]), variable('w', [2])) });
  assert.match(text, /weight w/);
});

test('names that clash are errors', () => {
  assert.throws(
    () => textOf({ y: add(input('x', 'float32', [2]), variable('x', [2])) }),
    /two inputs are named x/,
  );
  assert.throws(() => textOf({ x: exp(input('x', 'float32', [2])) }), /output.*input.*x/);
  assert.throws(
    () => textOf({ y: mul(weight('w', [2]), reshape(weight('w', [2, 1]), [2])) }),
    /w.*\[2\].*\[2, 1\]/,
  );
});

test('a large constant is not written into the model: programs are fed the array that it has', async () => {
  const places = Int32Array.from({ length: 2000 }, (_, at) => 2 * at);
  const held = constant(places, [2000], 'int32');
  assert.equal(held.data, places);
  const changed = addAt(input('x', 'float32', [4000]), input('values', 'float32', [2000]), held);
  const graphs: Record<string, Tensor>[] = [{ first: changed }, { second: mul(changed, 2) }];
  const model = buildOnnxModel(graphs, () => undefined);
  assert.ok(model.bytes.length < 4 * 2000);
  assert.deepEqual(
    [...model.constants.values()].map(({ data }) => data),
    [places],
  );
  const runtime = await onnxRuntime({ threads: 1 });
  const programs = await runtime.compileTogether(graphs, { folder: '.', tensors: new Map() });
  const feeds = {
    x: { dtype: 'float32' as const, shape: [4000], data: new Float32Array(4000) },
    values: { dtype: 'float32' as const, shape: [2000], data: new Float32Array(2000).fill(1) },
  };
  const expected = Array.from({ length: 4000 }, (_, at) => 1 - (at % 2));
  for (const [at, name] of ['first', 'second'].entries()) {
    const program = programs[at]!;
    assert.deepEqual([...program.reads].sort(), ['values', 'x']);
    const result = (await program.run(feeds))[name]!;
    assert.deepEqual(
      numbers(result),
      expected.map((each) => (at + 1) * each),
    );
  }
  assert.equal(places[1], 2);
});
