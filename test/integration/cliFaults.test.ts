// What the command line says where files or numbers are not what they should be.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import { dataFile, document, run, temporary, tinyModel } from '../unit/cli/support.js';

const folder = temporary();

/** An adapter of the queries of the first layer, all its numbers 1. */
async function adapterOf(model: string, name: string, alpha: number): Promise<string> {
  const adapter = path.join(folder, name);
  mkdirSync(adapter);
  const config = { peft_type: 'LORA', r: 1, lora_alpha: alpha, target_modules: 'model.layers.0.self_attn.q_proj' };
  writeFileSync(
    path.join(adapter, 'adapter_config.json'),
    JSON.stringify({ ...config, base_model_name_or_path: model }),
  );
  const key = 'base_model.model.model.layers.0.self_attn.q_proj';
  const ones = (name: string, shape: readonly number[]) => ({
    name: `${key}.${name}.weight`,
    shape,
    dtype: 'F32' as const,
    data: new Float32Array(16).fill(1),
  });
  const tensors = [ones('lora_A', [1, 16]), ones('lora_B', [16, 1])];
  await writeSafetensors(path.join(adapter, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  return adapter;
}

test('evaluate fails where the loss is not finite', async () => {
  const model = await tinyModel(folder);
  const data = dataFile(folder, 'rows.jsonl', 4);
  const usual = await adapterOf(model, 'usual', 1);
  assert.equal((await run(['evaluate', model, '--data', data, '--adapter', usual])).code, 0);
  const huge = await adapterOf(model, 'huge', 1e38);
  const ran = await run(['evaluate', model, '--data', data, '--adapter', huge, '--json']);
  assert.equal(ran.code, 1);
  const { error } = document(ran) as { error: { code: string; where: { file: string } } };
  assert.deepEqual([error.code, error.where.file], ['evaluation.non-finite', huge]);
  assert.match(ran.err, /the loss is NaN[^]*lora_alpha/);
});

test('an error of the file system is told without a stack', async () => {
  const adapter = path.join(folder, 'loop');
  mkdirSync(adapter);
  writeFileSync(path.join(adapter, 'adapter_config.json'), '{"peft_type":"LORA","r":1}');
  symlinkSync('adapter_model.safetensors', path.join(adapter, 'adapter_model.safetensors'));
  const ran = await run(['inspect', adapter]);
  assert.equal(ran.code, 1);
  assert.match(ran.err, /file\.eloop/);
  assert.doesNotMatch(ran.err, /^ +at /m);
});

test('combine without a folder to write says so', async () => {
  const ran = await run(['combine', 'a', 'b', '--json']);
  assert.equal(ran.code, 2);
  const { error } = document(ran) as { error: { code: string; expected: string } };
  assert.equal(error.code, 'cli.option-missing');
  assert.match(error.expected, /--out DIR, or --preview/);
});
