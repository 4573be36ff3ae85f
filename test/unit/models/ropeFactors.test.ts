import assert from 'node:assert/strict';
import { test } from 'node:test';
import { llama3RopeFactors, llama3RopeScaling } from '../../../src/models/ropeFactors.js';
import { problem, readFixture } from './files.js';

const fixture = await readFixture<{ headDim: number; theta: number; factors: number[] }>('rope.json');
const model = { file: 'x.gguf', theta: fixture.theta };

test("the factors of Transformers' llama3 scaling", () => {
  const scaling = { factor: 8, low: 1, high: 4, original: 8192 };
  const factors = llama3RopeFactors(fixture.headDim, fixture.theta, scaling);
  assert.equal(factors.length, fixture.factors.length);
  for (const [i, factor] of factors.entries()) {
    assert.ok(Math.abs(factor - fixture.factors[i]!) < 1e-5 * factor, `${i}: ${factor}`);
  }
});

test('the parameters are found from the factors', () => {
  const factors = llama3RopeFactors(64, 500000, { factor: 8, low: 1, high: 4, original: 8192 });
  assert.deepEqual(llama3RopeScaling(Float32Array.from(factors), model), {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  });
});

test('factors of other parameters are refused, not taken for these', () => {
  for (const change of [{ low: 2 }, { high: 8 }, { original: 4096 }]) {
    const other = llama3RopeFactors(64, 500000, { factor: 8, low: 1, high: 4, original: 8192, ...change });
    assert.throws(
      () => llama3RopeScaling(Float32Array.from(other), model),
      problem('gguf.rope-factors', 'x.gguf'),
    );
  }
  assert.throws(() => llama3RopeScaling(Float32Array.of(1, NaN), model), problem('gguf.rope-factors'));
});
