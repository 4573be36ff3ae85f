import assert from 'node:assert/strict';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { adapterParts, problem, temporaryFolder, writeParts } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';

const folder = temporaryFolder();

async function withConfig(name: string, config: string): Promise<string> {
  const target = path.join(folder, name);
  await mkdir(target);
  await writeFile(path.join(target, 'adapter_config.json'), config);
  return target;
}

test('config and header are read without the numbers', async () => {
  const adapter = await readAdapter(fixture('lora-reference/peft-adapter'));
  assert.equal(adapter.peftType, 'LORA');
  assert.equal(adapter.baseModel, 'tiny-llama');
  assert.equal(adapter.tensors.size, 28);
  const key = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
  assert.deepEqual([adapter.tensors.get(key)!.shape, adapter.tensors.get(key)!.dtype], [[2, 32], 'F32']);
  assert.equal((await adapter.loadTensors()).get(key)!.data.length, 64);
});

test('a folder that is none', async () => {
  await assert.rejects(readAdapter(path.join(folder, 'none')), problem('adapter.folder-not-found', 'none'));
  const file = fixture('lora-reference/peft-adapter/adapter_model.safetensors');
  await assert.rejects(readAdapter(file), problem('adapter.folder-not-found', path.dirname(file)));
});

test('a folder without a config; a model in its place', async () => {
  await assert.rejects(readAdapter(folder), problem('adapter.no-config'));
  await assert.rejects(
    readAdapter(fixture('lora-reference/tiny-llama')),
    problem('adapter.no-config', 'whole model'),
  );
});

test('a pickle is refused with the way to convert it', async () => {
  const target = await withConfig('pickle', '{"peft_type":"LORA"}');
  await assert.rejects(readAdapter(target), problem('adapter.no-weights'));
  await writeFile(path.join(target, 'adapter_model.bin'), 'cos\nsystem\n');
  await assert.rejects(readAdapter(target), problem('adapter.pickle', 'adapter_model.bin', 'weights_only=True'));
});

test('another peft_type is named with those supported', async () => {
  for (const [name, config] of [
    ['vera', '{"peft_type":"VERA"}'],
    ['number', '{"peft_type":3}'],
    ['without', '{}'],
  ] as const) {
    const target = await withConfig(name, config);
    await assert.rejects(
      readAdapter(target),
      problem('adapter.peft-type', 'LORA', config === '{}' ? 'not given' : ''),
    );
  }
});

test('hostile configs end in bounded memory: 100 MB, deep nesting, a key twice', async () => {
  const big = await withConfig('big', '');
  const handle = await open(path.join(big, 'adapter_config.json'), 'w');
  await handle.truncate(100 * 1024 * 1024);
  await handle.close();
  await assert.rejects(readAdapter(big), problem('adapter.config.too-long', '104857600'));
  const deep = await withConfig('deep', `{"peft_type":"LORA","r":${'['.repeat(1e6)}`);
  await assert.rejects(readAdapter(deep), problem('adapter.config.json', 'nested deeper'));
  const twice = await withConfig('twice', '{"peft_type":"LORA","r":8,\n"r":16}');
  await assert.rejects(readAdapter(twice), problem('adapter.config.json', ':2:', 'occurs twice'));
});

test('a header that lies about its length is refused', async () => {
  const target = await writeParts(path.join(folder, 'header'), await adapterParts('peft-adapter'));
  const file = path.join(target, 'adapter_model.safetensors');
  await rm(file);
  await writeFile(file, new Uint8Array([255, 255, 255, 255, 255, 255, 255, 127, 123]));
  await assert.rejects(readAdapter(target), problem('safetensors.header-too-long'));
});

test('places and masks that are no 32-bit integers', async () => {
  for (const [peftType, name, dtype, bytes] of [
    ['FISH_MASK', 'model.layers.0.self_attn.q_proj.weight.indices', 'I64', 8],
    ['LEARNED_MASK', 'model.layers.0.self_attn.q_proj.weight.mask', 'U8', 1],
  ] as const) {
    const target = await withConfig(dtype, JSON.stringify({ peft_type: peftType, target_modules: 'all-linear' }));
    const header = JSON.stringify({ [name]: { dtype, shape: [1], data_offsets: [0, bytes] } });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await writeFile(
      path.join(target, 'adapter_model.safetensors'),
      Buffer.concat([length, Buffer.from(header), Buffer.alloc(bytes)]),
    );
    const isTold = problem(
      'adapter.dtype',
      `${name} has type ${dtype}`,
      '32-bit integers (I32)',
      'Export the adapter',
    );
    await assert.rejects(readAdapter(target), isTold);
  }
});
