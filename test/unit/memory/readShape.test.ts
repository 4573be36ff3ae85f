import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MODELS } from '../../../bench/memoryModels.js';
import { parameterCount, placedModules } from '../../../src/memory/modelShape.js';
import { PLANNED_MODEL_TYPES, readModelShape } from '../../../src/memory/readShape.js';
import { problemCode } from './support.js';

for (const { id, config, parameters } of Object.values(MODELS)) {
  test(`${id} has ${parameters} parameters`, () => {
    assert.equal(parameterCount(readModelShape(config, id)), parameters);
  });
}

test('every model_type that can be planned for is among the known totals', () => {
  const tested = new Set(Object.values(MODELS).map(({ config }) => String(config.model_type)));
  // gemma3 is gemma3_text within text_config: below.
  assert.deepEqual(
    PLANNED_MODEL_TYPES.filter((type) => !tested.has(type)),
    ['gemma3'],
  );
});

test('an untied output layer counts, a tied one does not', () => {
  const { config } = MODELS.smollm2;
  const untied = parameterCount(readModelShape({ ...config, tie_word_embeddings: false }, 'c'));
  assert.equal(untied - MODELS.smollm2.parameters, 49152 * 576);
});

test('phi keeps the bias of a tied output layer', () => {
  const tied = parameterCount(readModelShape({ ...MODELS.phi2.config, tie_word_embeddings: true }, 'c'));
  assert.equal(MODELS.phi2.parameters - tied, 51200 * 2560);
});

test('Gemma 3 with a vision tower is read from text_config, and says what is left out', () => {
  const config = { model_type: 'gemma3', text_config: MODELS.gemma3.config, vision_config: {} };
  const shape = readModelShape(config, 'config.json');
  assert.equal(parameterCount(shape), MODELS.gemma3.parameters);
  assert.equal(shape.leftOut.length, 1);
});

test('falcon with the new architecture has grouped keys and two norms', () => {
  const config = {
    model_type: 'falcon',
    vocab_size: 100,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_kv_heads: 2,
    new_decoder_architecture: true,
  };
  const shape = readModelShape(config, 'c');
  const names = placedModules(shape).map(({ path }) => path);
  assert.ok(names.includes('transformer.h.*.ln_attn') && names.includes('transformer.h.*.ln_mlp'));
  // embeddings 800; qkv 8 × (4 + 2·2)·2; dense 64; mlp 2 × 8 × 32; three norms of 2 × 8
  assert.equal(parameterCount(shape), 800 + 128 + 64 + 512 + 48);
});

test('what is not known or makes no sense is refused', () => {
  assert.equal(
    problemCode(() => readModelShape({ model_type: 'mamba' }, 'c')),
    'model.unsupported',
  );
  assert.equal(
    problemCode(() => readModelShape({}, 'c')),
    'model.unsupported',
  );
  const { config } = MODELS.llama2;
  assert.equal(
    problemCode(() => readModelShape({ ...config, hidden_size: -1 }, 'c')),
    'model.config',
  );
  assert.equal(
    problemCode(() => readModelShape({ ...config, num_attention_heads: 33 }, 'c')),
    'model.config',
  );
  assert.equal(
    problemCode(() => readModelShape({ ...config, num_hidden_layers: 1e12 }, 'c')),
    'model.config',
  );
  assert.equal(
    problemCode(() => readModelShape({ ...config, num_hidden_layers: 100_000 }, 'c')),
    'model.config',
  );
  const experts = { ...MODELS.mixtral.config, num_experts_per_tok: 9 };
  assert.equal(
    problemCode(() => readModelShape(experts, 'c')),
    'model.config',
  );
  const gpt2 = { ...MODELS.gpt2.config, n_head: 5 };
  assert.equal(
    problemCode(() => readModelShape(gpt2, 'c')),
    'model.config',
  );
});
