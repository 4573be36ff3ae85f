import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyName, headerOf } from '../../../src/memory/headerOf.js';
import { parameterCount } from '../../../src/memory/modelShape.js';
import { readModelShape } from '../../../src/memory/readShape.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { readModel } from '../../../src/models/readModel.js';
import { fixture } from '../../support/fixtures.js';
import { MODEL_NAMES, shapeOf } from './support.js';

/** Written by Transformers, or by PEFT Studio in its form: tied and untied, with and without biases. */
const REAL = [
  'examples/base-model/peft-studio-tiny',
  ...['tiny-qwen2', 'tiny-qwen3', 'tiny-qwen3-biased', 'tiny-gemma', 'tiny-gemma2', 'tiny-gemma3'].map((name) =>
    fixture('decoders', name),
  ),
  fixture('gpt2', 'tiny-gpt2'),
  fixture('gpt2', 'tiny-gpt2-untied'),
];

for (const folder of REAL) {
  test(`from config.json alone, the header of ${folder.split('/').at(-1)}: names and shapes`, async () => {
    const checkpoint = await openCheckpoint(folder);
    const { buffers } = readModel(checkpoint);
    const real = [...checkpoint.tensors]
      .filter(([name]) => !buffers?.has(name))
      .map(([name, { shape }]) => `${name} [${shape.join()}]`);
    const made = [...headerOf(readModelShape(checkpoint.config, folder), 'F32')];
    assert.deepEqual(made.map(([name, { shape }]) => `${name} [${shape.join()}]`).sort(), real.sort());
    assert.ok(made.every(([, { dtype }]) => dtype === 'F32'));
  });
}

test("a header's tensors are the model's parameters, on every family", () => {
  for (const name of MODEL_NAMES) {
    const shape = shapeOf(name);
    let values = 0;
    for (const tensor of headerOf(shape, 'BF16').values()) {
      values += tensor.shape.reduce((product, length) => product * length, 1);
    }
    assert.equal(values, parameterCount(shape), name);
  }
});

test('each expert has tensors of its own', () => {
  const header = headerOf(shapeOf('mixtral'), 'BF16');
  const name = 'model.layers.31.block_sparse_moe.experts.7.w2.weight';
  assert.deepEqual(header.get(name)?.shape, [4096, 14336]);
  assert.equal(copyName('block_sparse_moe.experts.w2', 7), 'block_sparse_moe.experts.7.w2');
});
