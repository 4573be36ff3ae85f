import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import type { JsonObject } from '../../src/common/json.js';
import { LoraOptions } from '../../src/methods/lora.js';
import { attachMethod } from '../../src/methods/registry.js';
import { readModel } from '../../src/models/readModel.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';

for (const name of ['tiny-llama', 'tiny-llama-tied', 'tiny-mistral']) {
  test(`logits of ${name} are those of Transformers`, async () => {
    const folder = fixture('lora-reference', name);
    const expected = await readTensors(`${folder}/logits.safetensors`);
    const found = await logitsOf(await openModel(folder), await readInputIds(`${folder}/logits.safetensors`));
    assert.ok(largestDifference(found, expected.get('logits')!.data) <= 1e-4);
  });
}

/** Largest difference from Transformers' logits of a fixture whose config is changed. */
async function changedDifference(name: string, change: JsonObject): Promise<number> {
  const opened = await openModel(fixture('lora-reference', name));
  const model = readModel({ ...opened.checkpoint, config: { ...opened.checkpoint.config, ...change } });
  const file = fixture('lora-reference', name, 'logits.safetensors');
  const found = await logitsOf({ ...opened, model }, await readInputIds(file));
  return largestDifference(found, (await readTensors(file)).get('logits')!.data);
}

test('a window of one more or one less shows in the logits', async () => {
  assert.ok((await changedDifference('tiny-mistral', { sliding_window: 6 })) <= 1e-4);
  for (const sliding_window of [5, 7, null]) {
    assert.ok((await changedDifference('tiny-mistral', { sliding_window })) > 0.1, String(sliding_window));
  }
});

test('a Llama with a sliding_window in its config attends to everything, as in Transformers', async () => {
  assert.ok((await changedDifference('tiny-llama', { sliding_window: 6 })) <= 1e-4);
  assert.ok((await changedDifference('tiny-llama', { sliding_window: 6, model_type: 'mistral' })) > 0.1);
});

for (const name of ['peft-adapter', 'peft-adapter-embedding']) {
  test(`an adapter that PEFT wrote (${name}) gives PEFT's logits`, async () => {
    const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
    const folder = fixture('lora-reference', name);
    const expected = await readTensors(`${folder}/logits.safetensors`);
    const rows = await readInputIds(`${folder}/logits.safetensors`);
    const found = await logitsOf(opened, rows, await attachAdapter(opened, folder));
    assert.ok(largestDifference(found, expected.get('logits')!.data) <= 1e-4);
    assert.ok(largestDifference(found, expected.get('base_logits')!.data) > 1e-2, 'the adapter changes something');
  });
}

test('on a tied model the embedding can train whole while the head stays', async () => {
  const opened = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
  const options = Value.Parse(LoraOptions, { type: 'lora', modules_to_save: ['embed_tokens'] });
  const method = attachMethod(options, opened.context);
  const starts = method.trainables.map(async ({ variable, start }): Promise<[string, Float32Array]> => [
    variable.name,
    await start(),
  ]);
  const values = new Map(await Promise.all(starts));
  const rows = [[1, 2, 3, 4]];
  const base = await logitsOf(opened, rows);
  assert.ok(largestDifference(await logitsOf(opened, rows, { method, values }), base) <= 1e-5);
  values.set('model.embed_tokens.weight', new Float32Array(values.get('model.embed_tokens.weight')!.length));
  const zeroed = await logitsOf(opened, rows, { method, values });
  assert.ok(
    zeroed.some((logit) => logit !== 0),
    'the head still has the base weights',
  );
  assert.ok(largestDifference(zeroed, base) > 0.1);
});
