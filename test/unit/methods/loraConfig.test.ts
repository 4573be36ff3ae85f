import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../../src/common/json.js';
import type { LoraOptions } from '../../../src/methods/lora.js';
import { loraConfigFromPeft, loraConfigToPeft } from '../../../src/methods/loraConfig.js';
import { problem } from '../../support/adapters.js';
import { fixture, readJson } from '../../support/fixtures.js';
import { attachLora, fakeContext, loraOptions, site, smallSites } from './fakeModel.js';

const FILE = 'adapter_config.json';
const context = fakeContext(smallSites());

function written(options: Partial<LoraOptions>): JsonObject {
  const saved = attachLora(options, context).save(new Map());
  assert.ok(saved.kind === 'adapter');
  return saved.config;
}

function read(config: JsonObject): LoraOptions {
  const { options, warnings } = loraConfigFromPeft(config, FILE);
  assert.deepEqual(warnings, []);
  return options;
}

const PLAIN: JsonObject = { peft_type: 'LORA', r: 4, target_modules: ['q_proj'] };

const cases: Partial<LoraOptions>[] = [
  { target_modules: ['q_proj'] },
  { target_modules: '.*layers\\.0\\..*', r: 3, lora_alpha: 7.5, lora_dropout: 0.1, use_rslora: true },
  {
    target_modules: ['q_proj', 'v_proj'],
    exclude_modules: ['layers.0.v_proj'],
    layers_to_transform: [0, 1],
    layers_pattern: 'layers',
    rank_pattern: { 'layers.1.q_proj': 2, q_proj: 3 },
    alpha_pattern: { v_proj: 1 },
    modules_to_save: ['lm_head', 'embed_tokens'],
    bias: 'all',
  },
];
for (const [at, options] of cases.entries()) {
  test(`what is written parses back to the same options (${at})`, () => {
    assert.deepEqual(read(JSON.parse(JSON.stringify(written(options))) as JsonObject), loraOptions(options));
  });
}

test('all-linear is written as the names it stands for, or as paths where names would say more', () => {
  assert.deepEqual(written({ target_modules: 'all-linear' })['target_modules'], ['q_proj', 'v_proj']);
  const excluded = written({ target_modules: 'all-linear', exclude_modules: ['layers.0.q_proj'] });
  assert.deepEqual(excluded['target_modules'], [
    'model.layers.0.v_proj',
    'model.layers.1.q_proj',
    'model.layers.1.v_proj',
  ]);
  // Either way the same modules are found again.
  for (const config of [written({}), excluded]) {
    const again = attachLora(read(config), context).coverage.modules.map(({ path }) => path);
    assert.deepEqual(again.length, config === excluded ? 3 : 4);
    assert.ok(!again.includes('lm_head'));
  }
});

test("the keys are those of PEFT's own config", async () => {
  const theirs = await readJson(fixture('lora-reference/peft-adapter/adapter_config.json'));
  for (const key of Object.keys(written({}))) assert.ok(key in theirs, `PEFT writes no ${key}`);
  const config = loraConfigToPeft(loraOptions({ target_modules: ['q_proj'] }), [], context);
  assert.deepEqual(
    [config['peft_type'], config['task_type'], config['base_model_name_or_path']],
    ['LORA', 'CAUSAL_LM', 'fake'],
  );
});

const fixtures = [
  'peft-adapter',
  'peft-adapter-embedding',
  ...readdirSync(fixture('lora-reference/lora-steps'))
    .filter((name) => !name.includes('.'))
    .map((name) => `lora-steps/${name}/final`),
];
for (const name of fixtures) {
  test(`PEFT's own config loads without a warning: ${name}`, async () => {
    const config = await readJson(fixture('lora-reference', name, FILE));
    const options = read(config);
    for (const key of ['r', 'lora_alpha', 'bias', 'use_rslora', 'target_modules', 'rank_pattern'] as const) {
      assert.deepEqual(options[key], config[key], key);
    }
  });
}

test('★15 a key that is off is passed over with a warning, one that is on stops', () => {
  for (const value of [null, false, 0, '', [], {}] as Json[]) {
    const { options, warnings } = loraConfigFromPeft({ ...PLAIN, use_newest: value }, FILE);
    assert.deepEqual(options, loraOptions({ r: 4, target_modules: ['q_proj'] }));
    assert.equal(warnings.length, value === null ? 0 : 1);
    if (value !== null) assert.match(warnings[0]!.message, /'use_newest'/);
  }
  for (const [key, value] of [
    ['use_qalora', true],
    ['enable_lora', [true]],
    ['trainable_token_indices', [1, 2]],
    ['lora_bias', true],
    ['layer_replication', [[0, 1]]],
    ['ensure_weight_tying', true],
    ['use_newest', 'yes'],
  ] as [string, Json][]) {
    assert.throws(
      () => loraConfigFromPeft({ ...PLAIN, [key]: value }, FILE),
      problem('adapter.config', key, FILE),
    );
  }
});

test('a key like a property of objects is an unknown key', () => {
  const config = JSON.parse('{"__proto__":{"r":9},"constructor":[1]}') as Record<string, Json>;
  for (const key of ['__proto__', 'constructor']) {
    const own = Object.fromEntries([...Object.entries(PLAIN), [key, config[key]!]]);
    assert.throws(() => loraConfigFromPeft(own, FILE), problem('adapter.config', `'${key}'`, FILE));
  }
});

test('keys that PEFT knows and that are off need no warning', () => {
  const config = {
    ...PLAIN,
    use_dora: false,
    lora_bias: false,
    fan_in_fan_out: false,
    ensure_weight_tying: false,
  };
  assert.deepEqual(read({ ...config, use_qalora: false, qalora_group_size: 16, peft_version: '9.9.9' }).r, 4);
});

test('empty lists and texts leave an option unset', () => {
  const empty = { layers_to_transform: [], layers_pattern: '', exclude_modules: [], modules_to_save: [] };
  assert.deepEqual(read({ ...PLAIN, ...empty }), loraOptions({ r: 4, target_modules: ['q_proj'] }));
  assert.equal(read({ ...PLAIN, layers_to_transform: 0 }).layers_to_transform, 0);
});

test('★44 an adapter that started from a changed base is refused, any other start does not matter', () => {
  for (const start of ['pissa', 'pissa_niter_16', 'olora', 'corda', 'loftq']) {
    assert.throws(
      () => loraConfigFromPeft({ ...PLAIN, init_lora_weights: start }, FILE),
      // What LoftQ's quantization took off is no product that could be put back.
      problem('adapter.config', start, start === 'loftq' ? 'quantized base' : 'peft-studio convert ADAPTER'),
    );
  }
  for (const start of [true, false, 'gaussian', 'eva', 'orthogonal']) {
    assert.equal(read({ ...PLAIN, init_lora_weights: start }).init_lora_weights, true);
  }
});

test('values that no option takes are named with their key', () => {
  for (const [key, value] of [
    ['r', 0],
    ['r', 2.5],
    ['lora_alpha', -1],
    ['lora_dropout', 1],
    ['bias', 'some'],
    ['target_modules', 7],
    ['rank_pattern', { q_proj: 'x' }],
  ] as [string, Json][]) {
    assert.throws(() => loraConfigFromPeft({ ...PLAIN, [key]: value }, FILE), problem('adapter.config', key));
  }
});

test('fan_in_fan_out is written for Conv1D, and read as it comes: PEFT goes by the module', () => {
  const conv1d = site('linear', 'h.0.c_attn', [6, 8], { layout: 'in-out' });
  const sites = [site('embedding', 'wte', [16, 8]), conv1d, site('linear', 'lm_head', [16, 8])];
  const value = (target_modules: string[]): unknown => {
    const saved = attachLora({ target_modules }, fakeContext(sites)).save(new Map());
    return saved.kind === 'adapter' && saved.config['fan_in_fan_out'];
  };
  assert.equal(value(['wte', 'c_attn']), true);
  assert.equal(value(['c_attn', 'lm_head']), false);
  assert.equal(value(['wte']), false);
  assert.deepEqual(read({ ...PLAIN, fan_in_fan_out: true }), read({ ...PLAIN, fan_in_fan_out: false }));
});
