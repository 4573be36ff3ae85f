import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { openGgufCheckpoint } from '../../../src/models/ggufCheckpoint.js';
import { permuteRotaryRows, unpermuteRotaryRows } from '../../../src/models/ggufRotary.js';
import { floats, problem, readFixture, temporaryFolder } from './files.js';
import type { TensorPart } from './ggufFile.js';
import { ggufFile, value } from './ggufFile.js';

const folder = temporaryFolder();
const fixture = await readFixture<{ gguf: string; q: string; k: string; down: string }>('model.json');
const reference = path.join(folder, 'reference.gguf');
await writeFile(reference, Buffer.from(fixture.gguf, 'base64'));

test("a file of llama.cpp's writer: config.json as Transformers has it", async () => {
  const { config, format, source } = await openGgufCheckpoint(reference);
  assert.equal(format, 'gguf');
  assert.equal(source, reference);
  assert.deepEqual(config, {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    vocab_size: 274,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: 'float32',
  });
});

test('names and shapes are those of Transformers, q and k have the rows of the original', async () => {
  const checkpoint = await openGgufCheckpoint(reference);
  assert.deepEqual([...checkpoint.tensors.keys()].sort(), [
    'model.embed_tokens.weight',
    'model.layers.0.input_layernorm.weight',
    'model.layers.0.mlp.down_proj.weight',
    'model.layers.0.mlp.gate_proj.weight',
    'model.layers.0.mlp.up_proj.weight',
    'model.layers.0.post_attention_layernorm.weight',
    'model.layers.0.self_attn.k_proj.weight',
    'model.layers.0.self_attn.o_proj.weight',
    'model.layers.0.self_attn.q_proj.weight',
    'model.layers.0.self_attn.v_proj.weight',
    'model.norm.weight',
  ]);
  const down = 'model.layers.0.mlp.down_proj.weight';
  assert.deepEqual(checkpoint.tensors.get(down), { dtype: 'Q4_1', shape: [32, 64] });
  assert.deepEqual(await checkpoint.read(down), floats(fixture.down));
  assert.deepEqual(await checkpoint.read('model.layers.0.self_attn.q_proj.weight'), floats(fixture.q));
  assert.deepEqual(await checkpoint.read('model.layers.0.self_attn.k_proj.weight'), floats(fixture.k));
  await assert.rejects(checkpoint.read('lm_head.weight'), problem('checkpoint.unknown-tensor', 'lm_head.weight'));
});

test('the mapped form holds the same values and is made once', async () => {
  const checkpoint = await openGgufCheckpoint(reference);
  const mapped = await checkpoint.mapped();
  assert.equal(mapped.tensors.size, checkpoint.tensors.size);
  for (const [name, { file, offset, length, shape }] of mapped.tensors) {
    assert.deepEqual(shape, checkpoint.tensors.get(name)!.shape);
    const bytes = (await readFile(file)).subarray(offset, offset + length);
    assert.deepEqual(new Float32Array(Uint8Array.from(bytes).buffer), await checkpoint.read(name));
  }
  await (await openGgufCheckpoint(reference)).mapped(() => assert.fail('converted twice'));
});

test('a bias is permuted like its rows', () => {
  // Two heads of four: halves [a0 a1 | b0 b1] are stored as a0 b0 a1 b1.
  const stored = Float32Array.of(0, 2, 1, 3, 4, 6, 5, 7);
  const original = Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  assert.deepEqual(unpermuteRotaryRows(stored, 8, 2), original);
  assert.deepEqual(permuteRotaryRows(original, 8, 2), stored);
});

const metadata = {
  'general.architecture': value.text('llama'),
  'llama.block_count': value.u32(1),
  'llama.context_length': value.u32(16),
  'llama.embedding_length': value.u32(4),
  'llama.feed_forward_length': value.u32(8),
  'llama.attention.head_count': value.u32(2),
  'llama.attention.layer_norm_rms_epsilon': value.f32(1e-6),
};
const shapes: Readonly<Record<string, number[]>> = {
  'token_embd.weight': [4, 5],
  'output_norm.weight': [4],
  'output.weight': [4, 5],
  'blk.0.attn_norm.weight': [4],
  'blk.0.ffn_norm.weight': [4],
  'blk.0.attn_q.weight': [4, 4],
  'blk.0.attn_q.bias': [4],
  'blk.0.attn_k.weight': [4, 4],
  'blk.0.attn_v.weight': [4, 4],
  'blk.0.attn_output.weight': [4, 4],
  'blk.0.ffn_gate.weight': [4, 8],
  'blk.0.ffn_up.weight': [4, 8],
  'blk.0.ffn_down.weight': [8, 4],
};

/** A small float32 model; `change` replaces metadata and shapes (undefined: left out). */
async function save(change: {
  metadata?: Readonly<Record<string, Uint8Array | undefined>>;
  shapes?: Readonly<Record<string, number[] | undefined>>;
}): Promise<string> {
  const tensors: TensorPart[] = [];
  let offset = 0;
  for (const [name, dims] of Object.entries({ ...shapes, ...change.shapes })) {
    if (!dims) continue;
    tensors.push({ name, dims, type: 0, offset });
    offset += Math.ceil(dims.reduce((product, size) => product * size, 4) / 32) * 32;
  }
  const kept = Object.entries({ ...metadata, ...change.metadata }).flatMap(([key, part]) =>
    part ? [[key, part] as const] : [],
  );
  const file = path.join(folder, 'small.gguf');
  await writeFile(file, ggufFile({ metadata: Object.fromEntries(kept), tensors, data: new Uint8Array(offset) }));
  return file;
}

test('what the metadata leave out has its usual value; an own head is not tied', async () => {
  const { config } = await openGgufCheckpoint(await save({}));
  assert.equal(config['num_key_value_heads'], 2);
  assert.equal(config['head_dim'], 2);
  assert.equal(config['rope_theta'], 10000);
  assert.equal(config['rms_norm_eps'], 1e-6);
  assert.equal(config['tie_word_embeddings'], false);
  assert.equal(config['attention_bias'], true);
  assert.equal('rope_scaling' in config, false);
  assert.equal('bos_token_id' in config, false);
});

test('rope scaling by metadata', async () => {
  const scaling = (type: string) => ({
    'llama.rope.scaling.type': value.text(type),
    'llama.rope.scaling.factor': value.f32(4),
    'llama.rope.scaling.original_context_length': value.u32(8),
  });
  const { config } = await openGgufCheckpoint(await save({ metadata: scaling('yarn') }));
  assert.deepEqual(config['rope_scaling'], {
    rope_type: 'yarn',
    factor: 4,
    original_max_position_embeddings: 8,
  });
  const unknown = await save({ metadata: scaling('longrope') });
  await assert.rejects(openGgufCheckpoint(unknown), problem('gguf.metadata', 'longrope', 'linear or yarn'));
});

test('what is not supported or does not fit is named', async () => {
  const refuse = async (change: Parameters<typeof save>[0], code: string, ...parts: string[]): Promise<void> =>
    assert.rejects(openGgufCheckpoint(await save(change)), problem(code, ...parts));
  const other = { 'general.architecture': value.text('phi3') };
  await refuse({ metadata: other }, 'gguf.metadata', 'phi3', '"llama", "qwen2"');
  // Named before its tensors, which a llama has not.
  const gpt2 = { 'general.architecture': value.text('gpt2') };
  await refuse(
    { metadata: gpt2, shapes: { 'position_embd.weight': [4, 16] } },
    'gguf.metadata',
    'gpt2',
    '"llama"',
  );
  await refuse({ metadata: { 'llama.expert_count': value.u32(8) } }, 'gguf.metadata', 'experts');
  await refuse({ metadata: { 'llama.block_count': undefined } }, 'gguf.metadata', 'block_count', 'missing');
  await refuse({ metadata: { 'llama.block_count': value.text('1') } }, 'gguf.metadata', 'block_count');
  await refuse({ metadata: { 'llama.block_count': value.u32(2 ** 24) } }, 'gguf.tensor-missing', 'layers.1.');
  await refuse({ metadata: { 'llama.attention.head_count': value.u32(0) } }, 'gguf.metadata', 'head_count');
  await refuse({ metadata: { 'llama.attention.head_count': value.u32(3) } }, 'gguf.metadata', '3 heads');
  await refuse({ metadata: { 'llama.context_length': value.f32(NaN) } }, 'gguf.metadata', 'context_length');
  await refuse({ shapes: { 'blk.0.ffn_gate_inp.weight': [4] } }, 'gguf.tensor-name', 'ffn_gate_inp');
  await refuse({ shapes: { constructor: [4] } }, 'gguf.tensor-name', 'constructor');
  await refuse(
    { shapes: { 'blk.1.attn_q.weight': [4, 3] } },
    'gguf.tensor-name',
    'blk.1.attn_q',
    'blk.0 to blk.0',
  );
  await refuse({ shapes: { 'blk.00.attn_q.weight': [4, 3] } }, 'gguf.tensor-name', 'blk.00.attn_q');
  await refuse({ shapes: { 'token_embd.weight': undefined } }, 'gguf.tensor-missing', 'token_embd');
  await refuse({ shapes: { 'blk.0.attn_k.weight': undefined } }, 'gguf.tensor-missing', 'k_proj.weight');
  await refuse({ shapes: { 'blk.0.attn_q.bias': [2] } }, 'gguf.tensor-shape', 'q_proj.bias', '[4]');
  await refuse({ shapes: { 'blk.0.ffn_down.weight': [4, 8] } }, 'gguf.tensor-shape', '[8, 4]', '[4, 8]');
});
