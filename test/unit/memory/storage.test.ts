import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantizedBytes, weightBytes } from '../../../src/memory/storage.js';
import { shapeOf } from './support.js';

test('bytes of a packed matrix, by hand', () => {
  const values = 4096 * 4096;
  assert.equal(quantizedBytes({ kind: 'int8' }, values, 4096), values + 4 * 4096);
  // half a byte, and a float32 per 64
  assert.equal(quantizedBytes({ kind: 'nf4', doubleQuantization: false }, values, 4096), values / 2 + values / 16);
  // half a byte, a byte per 64, a float32 per 64 × 256: 0.127 bits a value (QLoRA, section 3)
  const double = quantizedBytes({ kind: 'nf4', doubleQuantization: true }, values, 4096);
  assert.equal(double, values / 2 + values / 64 + values / 4096);
  assert.equal((((double - values / 2) * 8) / values).toFixed(3), '0.127');
  assert.equal(quantizedBytes({ kind: 'gguf', type: 'Q4_K' }, values, 4096), (values * 144) / 256);
});

test('incomplete blocks count whole', () => {
  assert.equal(quantizedBytes({ kind: 'nf4', doubleQuantization: false }, 65, 1), 33 + 8);
  assert.equal(quantizedBytes({ kind: 'gguf', type: 'Q8_0' }, 33, 1), 68);
});

test('bitsandbytes leaves embeddings, norms and the output layer; GGUF packs every matrix', () => {
  const shape = shapeOf('llama2');
  const outside = 2 * 32000 * 4096;
  const norms = (2 * 32 + 1) * 4096;
  const inside = 6_738_415_616 - outside - norms;
  const rows = 32 * (4 * 4096 + 2 * 11008 + 4096);
  const int8 = weightBytes(shape, { dtype: 'fp16', quantization: { kind: 'int8' } });
  assert.equal(int8.bytes, inside + 4 * rows + 2 * (outside + norms));
  const gguf = weightBytes(shape, { dtype: 'fp32', quantization: { kind: 'gguf', type: 'Q8_0' } });
  assert.equal(gguf.bytes, ((inside + outside) * 34) / 32 + 4 * norms);
  assert.match(gguf.formula, /GGUF Q8_0/);
});

test('plain weights are parameters × bytes', () => {
  assert.equal(weightBytes(shapeOf('gpt2'), { dtype: 'fp32' }).bytes, 4 * 124_439_808);
  assert.match(weightBytes(shapeOf('gpt2'), { dtype: 'fp32' }).formula, /124,439,808 × 4/);
});
