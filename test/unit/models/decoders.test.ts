import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../../src/common/json.js';
import type { LanguageModel } from '../../../src/models/architecture.js';
import type { Checkpoint } from '../../../src/models/checkpoint.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { readModel } from '../../../src/models/readModel.js';
import { fixture } from '../../support/fixtures.js';
import { problem } from './files.js';

const names = [
  'tiny-qwen2',
  'tiny-qwen3',
  'tiny-qwen3-biased',
  'tiny-gemma',
  'tiny-gemma2',
  'tiny-gemma3',
] as const;
type Name = (typeof names)[number];
const checkpoints = new Map<Name, Checkpoint>();
for (const name of names) checkpoints.set(name, await openCheckpoint(fixture('decoders', name)));

/** A tiny model with another config; undefined takes a key out. */
function read(name: Name, change: Record<string, Json | undefined> = {}): LanguageModel {
  const checkpoint = checkpoints.get(name)!;
  const entries = Object.entries({ ...checkpoint.config, ...change }).filter(([, value]) => value !== undefined);
  return readModel({ ...checkpoint, config: Object.fromEntries(entries) as JsonObject });
}

function layerPaths({ sites }: LanguageModel): string[] {
  return sites.filter(({ layer }) => layer === 0).map(({ path }) => path.replace('model.layers.0.', ''));
}

const QKV = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'];
const HEAD_NORMS = ['self_attn.q_norm', 'self_attn.k_norm'];
const FEED_FORWARD = ['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'];

test('sites have the module paths of Transformers in the order of the forward pass', () => {
  const before = ['input_layernorm', ...QKV];
  const llama = ['self_attn.o_proj', 'post_attention_layernorm', ...FEED_FORWARD];
  const sandwich = [
    'self_attn.o_proj',
    'post_attention_layernorm',
    'pre_feedforward_layernorm',
    ...FEED_FORWARD,
    'post_feedforward_layernorm',
  ];
  assert.deepEqual(layerPaths(read('tiny-qwen2')), [...before, ...llama]);
  assert.deepEqual(layerPaths(read('tiny-qwen3')), [...before, ...HEAD_NORMS, ...llama]);
  assert.deepEqual(layerPaths(read('tiny-gemma')), [...before, ...llama]);
  assert.deepEqual(layerPaths(read('tiny-gemma2')), [...before, ...sandwich]);
  assert.deepEqual(layerPaths(read('tiny-gemma3')), [...before, ...HEAD_NORMS, ...sandwich]);
  const sites = read('tiny-gemma3').sites;
  assert.deepEqual(
    sites.find(({ path }) => path === 'model.layers.2.self_attn.k_norm'),
    {
      kind: 'norm',
      path: 'model.layers.2.self_attn.k_norm',
      layer: 2,
      shape: [12],
      weight: 'model.layers.2.self_attn.k_norm.weight',
      bias: undefined,
      isOutput: false,
    },
  );
  assert.deepEqual(sites.at(-1)!.weight, 'model.embed_tokens.weight');
  assert.equal(sites[0]!.path, 'model.embed_tokens');
  for (const name of names) {
    const tensors = checkpoints.get(name)!.tensors;
    const named = read(name).sites.flatMap(({ weight, bias }) => [weight, bias]);
    assert.deepEqual([...new Set(named.filter((each) => each !== undefined))].sort(), [...tensors.keys()].sort());
  }
});

test('biases are where the config has them', () => {
  const biased = (model: LanguageModel): string[] =>
    model.sites.filter(({ bias, layer }) => bias !== undefined && layer === 0).map(({ path }) => path.slice(15));
  assert.deepEqual(biased(read('tiny-qwen2')), QKV);
  assert.deepEqual(biased(read('tiny-qwen2', { attention_bias: false })), QKV);
  assert.deepEqual(biased(read('tiny-qwen3')), []);
  assert.deepEqual(biased(read('tiny-qwen3-biased')), [...QKV, 'self_attn.o_proj']);
  assert.throws(
    () => read('tiny-qwen3', { attention_bias: true }),
    problem('model.tensor', 'self_attn.q_proj.bias is missing', '[48]'),
  );
});

test('tensors that the config does not speak of are refused, not left out', () => {
  const stranger = 'has no place in the model';
  assert.throws(
    () => read('tiny-qwen3-biased', { attention_bias: false }),
    problem('model.tensor', 'model.layers.0.self_attn.', '.bias', stranger),
  );
  assert.throws(
    () => read('tiny-qwen3', { model_type: 'llama' }),
    problem('model.tensor', '_norm.weight', stranger),
  );
  assert.throws(
    () => read('tiny-gemma', { num_hidden_layers: 2 }),
    problem('model.tensor', 'layers.2.', stranger),
  );
  const tiny = checkpoints.get('tiny-qwen3')!;
  const with_ = (name: string): Checkpoint => ({
    ...tiny,
    tensors: new Map([...tiny.tensors, [name, { dtype: 'F32', shape: [6] }]]),
  });
  assert.throws(
    () => readModel(with_('model.layers.0.mlp.up_proj.weight_scale_inv')),
    problem('model.tensor', stranger),
  );
  // Tables that older versions of Transformers stored are no weights, and a second copy of a tied head is none either.
  const inverse = 'model.layers.0.self_attn.rotary_emb.inv_freq';
  assert.deepEqual([...readModel(with_(inverse)).buffers!], [inverse]);
  assert.equal(readModel(with_('lm_head.weight')).tiedHead, true);
  readModel(with_('score.weight'));
});

test('what would change the numbers is refused by its key', () => {
  const unsupported = (name: Name, change: JsonObject, ...parts: string[]): void =>
    assert.throws(() => read(name, change), problem('model.unsupported', ...Object.keys(change), ...parts));
  for (const name of names) {
    unsupported(name, { use_bidirectional_attention: true }, 'decoder');
    unsupported(name, { partial_rotary_factor: 0.5 }, 'all of a head');
    unsupported(name, { quantization_config: { quant_method: 'fp8' } }, 'fp8');
  }
  const kinds = (kind: string): JsonObject => ({ layer_types: ['full_attention', kind, 'full_attention'] });
  unsupported('tiny-qwen2', kinds('chunked_attention'), 'chunked_attention');
  unsupported('tiny-gemma3', kinds('linear_attention'), 'linear_attention');
  unsupported('tiny-gemma3', { attn_logit_softcapping: 50 }, 'null');
  const turned = { rope_parameters: { rope_type: 'default', rope_theta: 1e6, partial_rotary_factor: 0.25 } };
  assert.throws(
    () => read('tiny-qwen3', turned),
    problem('model.unsupported', 'rope_parameters.partial_rotary_factor'),
  );

  const yarn = { rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32 } };
  for (const name of names) assert.throws(() => read(name, yarn), problem('model.rope-type', "'yarn'"));

  const activation = (name: Name, key: string, value: string): void =>
    assert.throws(() => read(name, { [key]: value }), problem('model.activation', `'${value}'`, key));
  activation('tiny-qwen2', 'hidden_act', 'gelu');
  activation('tiny-gemma', 'hidden_act', 'relu');
  activation('tiny-gemma', 'hidden_activation', 'gelu');
  activation('tiny-gemma2', 'hidden_activation', 'gelu');
  activation('tiny-gemma3', 'hidden_activation', 'toString');
});

test('windows: one kind per layer, a width where there are any', () => {
  const wrong = (name: Name, change: Record<string, Json | undefined>, ...parts: string[]): void =>
    assert.throws(() => read(name, change), problem('model.config', ...parts));
  wrong('tiny-qwen2', { layer_types: ['full_attention'] }, 'layer_types', 'one for each of 3 layers');
  wrong('tiny-qwen2', { layer_types: 'full_attention' }, 'layer_types', 'a list of texts');
  wrong('tiny-qwen2', { use_sliding_window: false }, 'sliding_attention', 'no sliding_window in force');
  wrong('tiny-qwen2', { sliding_window: null }, 'no sliding_window in force', 'use_sliding_window: true');
  wrong('tiny-qwen2', { sliding_window: 0 }, 'sliding_window');
  wrong('tiny-gemma2', { sliding_window: null }, 'no sliding_window in force');
  wrong('tiny-gemma3', { layer_types: undefined, sliding_window_pattern: 0 }, 'sliding_window_pattern');
  read('tiny-qwen2', { layer_types: undefined, use_sliding_window: false });
});

test('numbers of the versions are checked, null stands for none', () => {
  const wrong = (name: Name, change: JsonObject, ...parts: string[]): void =>
    assert.throws(() => read(name, change), problem('model.config', ...Object.keys(change), ...parts));
  wrong('tiny-gemma2', { attn_logit_softcapping: 0 }, 'above 0');
  wrong('tiny-gemma2', { final_logit_softcapping: -1 }, 'above 0');
  wrong('tiny-gemma3', { final_logit_softcapping: 'x' }, 'above 0');
  wrong('tiny-gemma3', { query_pre_attn_scalar: 0 }, 'above 0');
  wrong('tiny-gemma3', { rope_parameters: { rope_type: 'default', rope_theta: 1e4 } }, 'full_attention');
  wrong('tiny-gemma3', { rope_parameters: { full_attention: { rope_theta: 0 } } }, 'above 0');
  wrong('tiny-qwen3', { num_hidden_layers: 2 ** 20 }, 'at most 4096');
  read('tiny-gemma2', { attn_logit_softcapping: null, final_logit_softcapping: null });
});
