import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { f16ToF32, f32ToF16 } from '../../../src/models/floatFormats.js';
import { readGgufHeader, readGgufTensor } from '../../../src/models/gguf.js';
import { ggufNames } from '../../../src/models/ggufNames.js';
import type { GgufTensorToWrite } from '../../../src/models/writeGguf.js';
import { writeGguf } from '../../../src/models/writeGguf.js';
import { problem, temporaryFolder } from './files.js';
import { f32, ggufFile, join, value } from './ggufFile.js';

const folder = temporaryFolder();
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, at) => at / 7 - 1);
const tensor = (name: string, ...shape: number[]): GgufTensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  data: numbers(shape.reduce((product, size) => product * size, 1)),
});

test('what is written is what the format says, byte by byte', async () => {
  const file = path.join(folder, 'bytes.gguf');
  await writeGguf(file, { 'general.type': 'adapter', 'adapter.lora.alpha': 1.5 }, [
    tensor('a', 2, 3),
    tensor('b', 3),
  ]);
  const expected = ggufFile({
    metadata: { 'general.type': value.text('adapter'), 'adapter.lora.alpha': value.f32(1.5) },
    tensors: [
      { name: 'a', dims: [3, 2], type: 0, offset: 0 },
      { name: 'b', dims: [3], type: 0, offset: 32 },
    ],
    data: join(...[...numbers(6)].map(f32), new Uint8Array(8), ...[...numbers(3)].map(f32), new Uint8Array(20)),
  });
  assert.deepEqual(new Uint8Array(await readFile(file)), expected);
});

test('our reader reads it back, F32 exactly and F16 rounded', async () => {
  const file = path.join(folder, 'back.gguf');
  const tensors = [tensor('one', 5, 7), { ...tensor('two', 3, 1), dtype: 'F16' as const }];
  await writeGguf(file, { 'general.name': 'Größe 尺寸', factor: -0.25 }, tensors);
  const header = readGgufHeader(file);
  assert.deepEqual(
    [...header.metadata],
    [
      ['general.name', 'Größe 尺寸'],
      ['factor', -0.25],
    ],
  );
  assert.deepEqual(header.tensors.get('one')!.shape, [5, 7]);
  assert.equal(header.tensors.get('two')!.type.name, 'F16');
  assert.deepEqual(await readGgufTensor(header, 'one'), numbers(35));
  assert.deepEqual(await readGgufTensor(header, 'two'), f16ToF32(f32ToF16(numbers(3))));
});

test('what cannot be written is named, and nothing is left behind', async () => {
  const file = path.join(folder, 'none', 'none.gguf');
  for (const [tensors, code, text] of [
    [[tensor('a', 1), tensor('a', 2)], 'gguf.duplicate', 'two tensors are called a'],
    [[tensor('n'.repeat(64), 1)], 'gguf.name', '64 bytes'],
    [[{ ...tensor('a', 2, 2), shape: [2, 3] }], 'gguf.data-length', 'was given 4 values'],
  ] as const) {
    await assert.rejects(writeGguf(file, {}, tensors), problem(code, text));
  }
  assert.ok(!(await readdir(folder)).includes('none'));
});

test("modules have the names of gguf's own tables (TensorNameMap of gguf 0.19.0)", () => {
  const rotary = {
    'model.layers.11.self_attn.q_proj': 'blk.11.attn_q',
    'model.layers.0.self_attn.k_proj': 'blk.0.attn_k',
    'model.layers.0.self_attn.v_proj': 'blk.0.attn_v',
    'model.layers.0.self_attn.o_proj': 'blk.0.attn_output',
    'model.layers.0.mlp.gate_proj': 'blk.0.ffn_gate',
    'model.layers.0.mlp.up_proj': 'blk.0.ffn_up',
    'model.layers.0.mlp.down_proj': 'blk.0.ffn_down',
    'model.embed_tokens': 'token_embd',
    lm_head: 'output',
  };
  for (const [type, architecture] of [
    ['llama', 'llama'],
    ['mistral', 'llama'],
    ['qwen2', 'qwen2'],
    ['qwen3', 'qwen3'],
    ['gemma', 'gemma'],
    ['gemma2', 'gemma2'],
    ['gemma3_text', 'gemma3'],
  ] as const) {
    const names = ggufNames(type)!;
    assert.equal(names.architecture, architecture);
    assert.equal(names.pairedRows, architecture === 'llama');
    for (const [path, name] of Object.entries(rotary)) assert.equal(names.moduleName(path), name);
  }
  const { architecture, moduleName } = ggufNames('gpt2')!;
  assert.equal(architecture, 'gpt2');
  for (const [path, name] of [
    ['transformer.h.2.attn.c_attn', 'blk.2.attn_qkv'],
    ['transformer.h.2.attn.c_proj', 'blk.2.attn_output'],
    ['transformer.h.2.mlp.c_fc', 'blk.2.ffn_up'],
    ['transformer.h.2.mlp.c_proj', 'blk.2.ffn_down'],
    ['transformer.wte', 'token_embd'],
    ['transformer.wpe', undefined],
    ['lm_head', 'output'],
  ] as const) {
    assert.equal(moduleName(path), name);
  }
  assert.equal(ggufNames('t5'), undefined);
});
