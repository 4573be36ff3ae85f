import assert from 'node:assert/strict';
import { test } from 'node:test';
import { full } from '../../../src/methods/full.js';
import { METHODS, PEFT_TYPES, adapterFormat, attachMethod } from '../../../src/methods/registry.js';
import { problem } from '../../support/adapters.js';
import { fakeContext, loraOptions, randomValues, smallSites, starts } from './fakeModel.js';

const PHASE = { dropoutSeed: undefined };
const ELEMENTS = 128 + 2 * (8 + 8 + 48 + 6 + 32) + 128;

test('every weight and bias trains, from the numbers of the base', async () => {
  const method = full.attach({ type: 'full' }, fakeContext(smallSites()));
  const total = method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0);
  assert.equal(total, ELEMENTS);
  const values = await starts(method);
  assert.equal(values.size, 2 * 5 + 2);
  assert.deepEqual([...values.get('lm_head.weight')!.slice(0, 3)], [1, 2, 3]);
  const decaying = method.trainables.filter(({ decays }) => decays).map(({ variable }) => variable.name);
  assert.deepEqual(decaying, [
    'model.embed_tokens.weight',
    ...[0, 1].flatMap((at) => [`model.layers.${at}.q_proj.weight`, `model.layers.${at}.v_proj.weight`]),
    'lm_head.weight',
  ]);
});

test('a tied matrix trains once and serves both', () => {
  const sites = smallSites().map((site) =>
    site.isOutput ? { ...site, weight: 'model.embed_tokens.weight' } : site,
  );
  const method = full.attach({ type: 'full' }, fakeContext(sites, { tiedHead: true }));
  assert.equal(
    method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
    ELEMENTS - 128,
  );
  const [embedding, head] = [sites[0]!, sites.at(-1)!];
  const base = method.trainables[0]!.variable;
  const unlike = { ...base };
  assert.equal(method.hooks.parameter!(embedding, 'weight', unlike, PHASE), base);
  assert.equal(method.hooks.parameter!(head, 'weight', unlike, PHASE), base);
});

test('it saves a whole model under the names of the checkpoint and loads it again', () => {
  const method = full.attach({ type: 'full' }, fakeContext(smallSites()));
  const values = randomValues(method);
  const saved = method.save(values);
  assert.ok(saved.kind === 'model');
  const { values: loaded } = method.load(new Map(saved.weights.map((each) => [each.name, each])), 'file');
  assert.deepEqual(loaded, values);
  assert.throws(() => method.load(new Map(), 'file'), problem('adapter.keys', '12 missing'));
});

test('beside another method its variables bear other names, the files the same', () => {
  const method = full.attach({ type: 'full' }, { ...fakeContext(smallSites()), instance: '1:' });
  assert.ok(method.trainables.every(({ variable }) => variable.name.startsWith('1:')));
  const values = randomValues(method);
  const saved = method.save(values);
  assert.ok(saved.kind === 'model');
  assert.ok(saved.weights.some(({ name }) => name === 'lm_head.weight'));
  const { values: loaded } = method.load(new Map(saved.weights.map((each) => [each.name, each])), 'file');
  assert.deepEqual(loaded, values);
});

test('the registry finds the method of an adapter by its peft_type', () => {
  assert.ok(PEFT_TYPES.includes('LORA'));
  const found = adapterFormat({ peft_type: 'LORA' })!.options(
    { peft_type: 'LORA', r: 3, target_modules: ['q_proj'] },
    'file',
  );
  assert.deepEqual(found.options, loraOptions({ r: 3, target_modules: ['q_proj'] }));
  assert.equal(adapterFormat({ peft_type: 'VERA' }), undefined);
  assert.equal(adapterFormat({ peft_type: 'BOTTLENECK' }), undefined);
});

test('the registry attaches what it lists', () => {
  const context = fakeContext(smallSites());
  const types = METHODS.map(({ type }) => type);
  assert.equal(new Set(types).size, types.length);
  assert.equal(attachMethod(loraOptions(), context).type, 'lora');
  assert.equal(attachMethod({ type: 'full' }, context).type, 'full');
});
