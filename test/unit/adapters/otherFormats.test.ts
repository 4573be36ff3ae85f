// Adapters in forms that are not read here: whose they are, and what can be done with them there.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { OTHER_PEFT_TYPES, otherFormat } from '../../../src/adapters/otherFormats.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { PEFT_TYPES } from '../../../src/methods/registry.js';
import { problem, temporaryFolder } from '../../support/adapters.js';

const root = temporaryFolder();

async function folderOf(name: string, config: object): Promise<string> {
  const folder = path.join(root, name);
  await mkdir(folder);
  await writeFile(path.join(folder, 'adapter_config.json'), JSON.stringify(config));
  return folder;
}

describe('an adapter that is not read here', () => {
  test("says so by its type, with PEFT's name for it, and how PEFT merges it", async () => {
    for (const type of OTHER_PEFT_TYPES) {
      assert.ok(!PEFT_TYPES.includes(type), type);
      const folder = await folderOf(type, { peft_type: type, task_type: 'CAUSAL_LM' });
      await assert.rejects(
        readAdapter(folder),
        problem('adapter.peft-type', `of type ${type}, which Hugging Face PEFT has`),
      );
    }
    const merged = otherFormat({ peft_type: 'LOHA', task_type: 'SEQ_CLS' }, '/a b/adapter_config.json');
    assert.match(
      merged?.mend ?? '',
      /AutoPeftModelForSequenceClassification\.from_pretrained\("\/a b"\)\.merge_and_unload\(\)\.save_pretrained\("merged"\)/,
    );
    const prompt = otherFormat({ peft_type: 'P_TUNING', task_type: 'CAUSAL_LM' }, '/a/adapter_config.json');
    assert.match(prompt?.mend ?? '', /cannot be merged/);
  });

  test('of the adapters library says which of its kinds it is', async () => {
    // As adapters 1.3.0 writes them, in part.
    const lora = await folderOf('library-lora', {
      config: { architecture: 'lora', alpha: 8, r: 8, composition_mode: 'add' },
      hidden_size: 32,
      model_class: 'LlamaForCausalLM',
      model_name: 'tiny-llama',
      name: 'x',
    });
    await assert.rejects(readAdapter(lora), problem('adapter.peft-type', "kind 'lora'", 'merge_adapter'));
    const reft = await folderOf('library-reft', { config: { architecture: 'reft' }, model_name: 'tiny-llama' });
    await assert.rejects(
      readAdapter(reft),
      problem('adapter.peft-type', "kind 'reft'", 'Use it in the adapters library'),
    );
  });

  test('of no known form is told what is expected', async () => {
    assert.equal(otherFormat({ peft_type: 'SOMETHING' }, 'adapter_config.json'), undefined);
    const folder = await folderOf('unknown', { peft_type: 'SOMETHING' });
    await assert.rejects(readAdapter(folder), problem('adapter.peft-type', 'SOMETHING', 'LORA'));
  });
});
