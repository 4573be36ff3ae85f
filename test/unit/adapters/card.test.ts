import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { modelCard } from '../../../src/adapters/card.js';
import { fixture } from '../../support/fixtures.js';
import { attachAdapter, openModel } from '../../support/model.js';

const opened = await openModel(fixture('lora-reference/tiny-llama'));
const { method } = await attachAdapter(opened, fixture('lora-reference/peft-adapter'));
const front = (card: string): Record<string, unknown> => parse(card.split('---\n')[1]!) as Record<string, unknown>;
const card = (baseModel: string): string =>
  modelCard({ baseModel, method, task: 'CAUSAL_LM', metrics: { eval_loss: 1.23456789 }, steps: 20 });

test('front matter for the hub, and the numbers', () => {
  const text = card('HuggingFaceTB/SmolLM2-135M');
  assert.deepEqual(front(text), {
    base_model: 'HuggingFaceTB/SmolLM2-135M',
    library_name: 'peft',
    pipeline_tag: 'text-generation',
    tags: ['base_model:adapter:HuggingFaceTB/SmolLM2-135M', 'lora', 'peft-studio'],
  });
  assert.match(text, /\| eval_loss \| 1\.23457 \|/);
  const trainable = method.trainables.reduce(
    (sum, { variable: { shape } }) => sum + (shape as number[]).reduce((a, b) => a * b),
    0,
  );
  assert.ok(text.includes(`${trainable.toLocaleString('en-US')} in 14 modules of 2 layers`));
});

test('it names the library that loads the adapter, if there is one', () => {
  const libraryOf = (type: string): unknown => {
    const facts = {
      baseModel: 'a/b',
      method: { ...method, type },
      task: 'CAUSAL_LM',
      metrics: {},
      steps: 1,
    } as const;
    return front(modelCard(facts))['library_name'];
  };
  const libraries = ['lora', 'ia3', 'adapter', 'adapter_fusion', 'ciat', 'fish_mask', 'intrinsic'].map(libraryOf);
  assert.deepEqual(libraries, [
    'peft',
    'peft',
    'adapter-transformers',
    'adapter-transformers',
    undefined,
    undefined,
    undefined,
  ]);
  // What is written as a plain LoRA, or as PEFT's own format, PEFT loads; a format of ours nothing else.
  for (const type of ['dora_rank', 'sora', 'dylora', 'relora', 'cola', 'adalora', 'lokr']) {
    assert.equal(libraryOf(type), 'peft', type);
  }
  for (const type of ['lotr', 'melora', 'mora', 'sltrain']) assert.equal(libraryOf(type), undefined, type);
});

test('a path on this machine stays here', () => {
  for (const path of ['/home/someone/models/tiny', 'C:\\Users\\someone\\tiny', '../someone/tiny/']) {
    const text = card(path);
    assert.equal(front(text)['base_model'], undefined);
    assert.ok(text.includes('`tiny`') && !text.includes('someone'));
  }
});

test("a path in the hub's cache is the model's id", () => {
  const text = card('/home/someone/.cache/huggingface/hub/models--owner--a-name/snapshots/abc');
  assert.equal(front(text)['base_model'], 'owner/a-name');
});

test('without an evaluation it says so', () => {
  assert.match(modelCard({ baseModel: 'a/b', method, task: 'CAUSAL_LM', metrics: {}, steps: 1 }), /not evaluated/);
});
