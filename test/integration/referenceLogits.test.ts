import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, largestDifference, readInputIds, readTensors } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';

for (const name of ['tiny-llama', 'tiny-llama-tied']) {
  test(`logits of ${name} are those of Transformers`, async () => {
    const folder = fixture('lora-reference', name);
    const expected = await readTensors(`${folder}/logits.safetensors`);
    const found = await logitsOf(await openModel(folder), await readInputIds(`${folder}/logits.safetensors`));
    assert.ok(largestDifference(found, expected.get('logits')!.data) <= 1e-4);
  });
}

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
