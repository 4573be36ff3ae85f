import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../../src/common/json.js';
import type { LanguageModel } from '../../../src/models/architecture.js';
import type { Checkpoint } from '../../../src/models/checkpoint.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { readModel } from '../../../src/models/readModel.js';
import { fixture } from '../../support/fixtures.js';
import { problem } from './files.js';

const tiny = await openCheckpoint(fixture('lora-reference/tiny-llama'));

/** The tiny Llama with another config: 4 heads of size 8, 2 key-value heads. */
function read(change: JsonObject, checkpoint: Checkpoint = tiny): LanguageModel {
  return readModel({ ...checkpoint, config: { ...checkpoint.config, ...change } });
}

test('sizes are those of the config; head_dim is hidden_size / heads where it is not given', () => {
  const { cacheHeads, headSize, layers } = read({ head_dim: null });
  assert.deepEqual([cacheHeads, headSize, layers], [2, 8, 2]);
});

test('heads that cannot be shared or turned are refused', () => {
  const message = 'do not fit together';
  const refused = (change: JsonObject, ...parts: string[]): void =>
    assert.throws(() => read(change), problem('model.config', ...parts, 'multiple of num_key_value_heads'));
  refused({ num_key_value_heads: 3 }, message, '4 attention heads of size 8 and 3 key-value heads');
  refused({ num_key_value_heads: 8 }, message, '8 key-value heads');
  refused({ head_dim: 7 }, message, 'size 7');
  refused({ num_attention_heads: 6, num_key_value_heads: 2, head_dim: null }, message, 'size 5');
  assert.throws(() => read({ head_dim: 10 }), problem('model.tensor', '[32, 32]', '[40, 32]'));
});

test('rope numbers that are zero, negative or missing are refused by their key', () => {
  const scaling = { ...(tiny.config['rope_parameters'] as JsonObject) };
  const keys = ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings', 'rope_theta'];
  for (const key of keys) {
    for (const value of [0, -2, 'x'] as Json[]) {
      assert.throws(
        () => read({ rope_parameters: { ...scaling, [key]: value } }),
        problem('model.config', key, key.endsWith('_theta') ? 'config' : 'a number above 0'),
      );
    }
  }
  const old = { rope_parameters: null, rope_theta: 10_000 };
  assert.throws(
    () => read({ ...old, rope_scaling: { type: 'linear', factor: 0 } }),
    problem('model.config', 'rope_scaling.factor', '0', 'a number above 0'),
  );
  assert.throws(() => read({ ...old, rope_scaling: { type: 'linear' } }), problem('model.config', 'missing'));
  assert.throws(() => read({ ...old, rope_theta: -1 }), problem('model.config', 'rope_theta'));
});

test('a window is a whole number above 0, and read for Mistral only', () => {
  const mistral = { model_type: 'mistral' };
  for (const sliding_window of [0, -1, 2.5, 'wide']) {
    assert.throws(() => read({ ...mistral, sliding_window }), problem('model.config', 'sliding_window'));
    read({ sliding_window });
  }
  read({ ...mistral, sliding_window: null });
});

test('sizes beyond any model are refused before a list of that length is made', () => {
  for (const key of ['num_hidden_layers', 'hidden_size', 'vocab_size', 'head_dim']) {
    for (const value of [2 ** 24 + 1, 2 ** 32, 2 ** 53 - 1]) {
      assert.throws(() => read({ [key]: value }), problem('model.config', key, String(value), '16777216'));
    }
  }
  assert.throws(() => read({ head_dim: 2 ** 20 }), problem('model.config', '1048576', 'at most 65536'));
});
