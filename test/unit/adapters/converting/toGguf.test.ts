// A LoRA as a GGUF adapter; that llama.cpp applies it so is tested in test/reference/ggufAdapter.test.ts.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../../../src/adapters/readAdapter.js';
import { ggufAdapter } from '../../../../src/adapters/converting/toGguf.js';
import type { GgufAdapter } from '../../../../src/adapters/converting/toGguf.js';
import type { JsonObject } from '../../../../src/common/json.js';
import type { NamedTensor } from '../../../../src/methods/method.js';
import { readGgufHeader, readGgufTensor } from '../../../../src/models/gguf.js';
import { writeGguf } from '../../../../src/models/writeGguf.js';
import { problem, temporaryFolder, writeParts } from '../../../support/adapters.js';
import { fixture } from '../../../support/fixtures.js';
import { openModel } from '../../../support/model.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));
const ATTENTION = 'model.layers.1.self_attn';
let count = 0;

const key = (name: string): string => `base_model.model.${name}`;
/** Numbers that each name their place. */
const counted = (name: string, ...shape: [number, number]): NamedTensor => ({
  name: key(name),
  shape,
  data: Float32Array.from({ length: shape[0] * shape[1] }, (_, at) => at + 1),
});
const pair = (module: string, r: number, inSize: number, outSize: number): NamedTensor[] => [
  counted(`${module}.lora_A.weight`, r, inSize),
  counted(`${module}.lora_B.weight`, outSize, r),
];

async function adapterOf(tensors: NamedTensor[], options: JsonObject = {}): Promise<AdapterOnDisk> {
  const config = { peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: 'base' };
  const usual = { r: 2, lora_alpha: 4, target_modules: ['q_proj', 'v_proj'], bias: 'none' };
  const own = path.join(folder, String(++count));
  return readAdapter(await writeParts(own, { config: { ...config, ...usual, ...options }, tensors }));
}

const found = ({ tensors }: GgufAdapter, name: string) => tensors.find((each) => each.name === name)!;

test('names, shapes and metadata; rows of q lie as llama.cpp turns them, those of v as they are', async () => {
  const adapter = await adapterOf([
    ...pair(`${ATTENTION}.q_proj`, 2, 32, 32),
    ...pair(`${ATTENTION}.v_proj`, 2, 32, 16),
  ]);
  const made = await ggufAdapter(adapter, llama.context, 'F32');
  const file = path.join(folder, 'adapter.gguf');
  await writeGguf(file, made.metadata, made.tensors);
  const header = readGgufHeader(file);
  assert.deepEqual(Object.fromEntries(header.metadata), {
    'general.architecture': 'llama',
    'general.type': 'adapter',
    'adapter.type': 'lora',
    'adapter.lora.alpha': 4,
  });
  assert.deepEqual(
    [...header.tensors].map(([name, { shape }]) => [name, shape]),
    [
      ['blk.1.attn_q.weight.lora_a', [2, 32]],
      ['blk.1.attn_q.weight.lora_b', [32, 2]],
      ['blk.1.attn_v.weight.lora_a', [2, 32]],
      ['blk.1.attn_v.weight.lora_b', [16, 2]],
    ],
  );
  const rows = Array.from({ length: 64 }, (_, at) => at + 1);
  assert.deepEqual([...(await readGgufTensor(header, 'blk.1.attn_v.weight.lora_b'))], rows.slice(0, 32));
  // A head of 8 rows: 0 4 1 5 2 6 3 7.
  const q = await readGgufTensor(header, 'blk.1.attn_q.weight.lora_b');
  assert.deepEqual([...q.subarray(0, 16)], [1, 2, 9, 10, 3, 4, 11, 12, 5, 6, 13, 14, 7, 8, 15, 16]);
  assert.deepEqual([...q.subarray(16, 20)], [17, 18, 25, 26]);
});

test('the file has one alpha: where scales differ, B takes up the rest', async () => {
  const tensors = [...pair(`${ATTENTION}.k_proj`, 4, 32, 16), ...pair(`${ATTENTION}.v_proj`, 2, 32, 16)];
  const options = {
    target_modules: ['k_proj', 'v_proj'],
    rank_pattern: { k_proj: 4 },
    alpha_pattern: { v_proj: 6 },
  };
  const scales = async (more: JsonObject): Promise<readonly [number, number]> => {
    const made = await ggufAdapter(await adapterOf(tensors, { ...options, ...more }), llama.context, 'F32');
    const first = (name: string): number => found(made, `blk.1.${name}.weight.lora_b`).data[0]!;
    // B's first number was 1: what is left of the scale, times llama.cpp's alpha / rank, is PEFT's scale.
    return [(first('attn_k') * made.alpha) / 4, (first('attn_v') * made.alpha) / 2];
  };
  assert.deepEqual(await scales({}), [1, 3]);
  const [k, v] = await scales({ use_rslora: true });
  assert.ok(Math.abs(k - 2) < 1e-6 && Math.abs(v - 6 / Math.SQRT2) < 1e-6);
});

test("an embedding's A is transposed, a Conv1D's pair is as it is", async () => {
  const made = await ggufAdapter(
    await adapterOf(
      [
        counted('model.embed_tokens.lora_embedding_A', 2, 128),
        counted('model.embed_tokens.lora_embedding_B', 32, 2),
      ],
      { target_modules: ['embed_tokens'] },
    ),
    llama.context,
    'F16',
  );
  const a = found(made, 'token_embd.weight.lora_a');
  assert.deepEqual([a.shape, a.dtype, [...a.data.subarray(0, 4)]], [[128, 2], 'F16', [1, 129, 2, 130]]);
  assert.deepEqual(found(made, 'token_embd.weight.lora_b').shape, [32, 2]);

  const site = gpt2.model.sites.find((each) => each.path === 'transformer.h.0.attn.c_attn')!;
  const conv1d = await ggufAdapter(
    await adapterOf(pair(site.path, 2, site.shape[1]!, site.shape[0]!), {
      target_modules: ['c_attn'],
      fan_in_fan_out: true,
    }),
    gpt2.context,
    'F32',
  );
  assert.deepEqual(found(conv1d, 'blk.0.attn_qkv.weight.lora_a').shape, [2, site.shape[1]]);
  assert.deepEqual(found(conv1d, 'blk.0.attn_qkv.weight.lora_b').shape, [site.shape[0], 2]);
});

test('what the format cannot hold is refused by name', async () => {
  const v = pair(`${ATTENTION}.v_proj`, 2, 32, 16);
  const bias = { name: key(`${ATTENTION}.v_proj.base_layer.bias`), shape: [16], data: new Float32Array(16) };
  const norm = { name: key('model.norm.weight'), shape: [32], data: new Float32Array(32) };
  const embedding = [
    counted('model.embed_tokens.lora_embedding_A', 2, 128),
    counted('model.embed_tokens.lora_embedding_B', 32, 2),
  ];
  const position = gpt2.model.sites.find((each) => each.path === 'transformer.wpe')!.shape;
  const positions = [
    counted('transformer.wpe.lora_embedding_A', 2, position[0]!),
    counted('transformer.wpe.lora_embedding_B', position[1]!, 2),
  ];
  const cases = [
    [llama, [...v, bias], { bias: 'lora_only' }, 'convert.gguf-whole', 'v_proj.base_layer.bias'],
    [llama, [...v, norm], { modules_to_save: ['norm'] }, 'convert.gguf-whole', 'model.norm.weight'],
    [llama, v, { use_dora: true }, 'convert.gguf-dora', 'DoRA'],
    [tied, embedding, { target_modules: ['embed_tokens'] }, 'convert.gguf-tied', 'model.embed_tokens'],
    [tied, pair('lm_head', 2, 32, 128), { target_modules: ['lm_head'] }, 'convert.gguf-tied', 'lm_head'],
    [gpt2, positions, { target_modules: ['wpe'] }, 'convert.gguf-module', 'transformer.wpe'],
  ] as const;
  for (const [{ context }, tensors, options, code, text] of cases) {
    const adapter = await adapterOf([...tensors], { ...options });
    await assert.rejects(ggufAdapter(adapter, context, 'F32'), problem(code, text));
  }
  const large = v.map((each) => ({ ...each, data: each.data.map((number) => number * 1e4) }));
  const adapter = await adapterOf(large, { target_modules: ['v_proj'] });
  await assert.rejects(ggufAdapter(adapter, llama.context, 'F16'), problem('convert.gguf-overflow', 'F32'));
  await ggufAdapter(adapter, llama.context, 'F32');

  const ia3 = await readAdapter(
    await writeParts(path.join(folder, 'ia3'), {
      config: { peft_type: 'IA3', target_modules: ['v_proj'], feedforward_modules: [] },
      tensors: [{ name: key(`${ATTENTION}.v_proj.ia3_l`), shape: [16, 1], data: new Float32Array(16) }],
    }),
  );
  await assert.rejects(ggufAdapter(ia3, llama.context, 'F32'), problem('convert.gguf-method', 'IA3', '--to lora'));

  const t5 = { model: { ...llama.model, modelType: 't5' } };
  await assert.rejects(ggufAdapter(await adapterOf(v), t5, 'F32'), problem('convert.gguf-model', "'t5'", 'llama'));
});
