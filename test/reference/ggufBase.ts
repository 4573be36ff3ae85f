import { writeFile } from 'node:fs/promises';
import type { JsonObject } from '../../src/common/json.js';
import { transposed } from '../../src/linalg/products.js';
import { readGgufHeader, readGgufTensor } from '../../src/models/gguf.js';
import type { GgufValue } from '../../src/models/gguf.js';
import { ggufNames } from '../../src/models/ggufNames.js';
import { permuteRotaryRows } from '../../src/models/ggufRotary.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { ggufFile, join, u32, u64, u8, value } from '../unit/models/ggufFile.js';

/** Base models of the tests as llama.cpp loads them: float32, with tokens that nothing is split into. */

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * A GGUF file of another type, with its numbers as float32. Which layers have a window is left to the readers: llama.cpp takes
 * no list of them.
 */
export async function f32Base(file: string, out: string): Promise<string> {
  const header = readGgufHeader(file);
  const tensors: Tensor[] = [];
  for (const [name, { shape }] of header.tensors) {
    tensors.push({ name, shape, data: await readGgufTensor(header, name) });
  }
  return save(out, header.metadata, tensors);
}

/** A Hugging Face folder of a Llama without rope scaling. */
export async function llamaBase(folder: string, out: string): Promise<string> {
  const { config, tensors, read } = await openCheckpoint(folder);
  const number = (key: string): number => Number(config[key]);
  const { moduleName } = ggufNames('llama')!;
  const heads = { q_proj: number('num_attention_heads'), k_proj: number('num_key_value_heads') };
  const named: Tensor[] = [];
  for (const [name, { shape }] of tensors) {
    const module = name.replace(/\.weight$/, '');
    const own = module === 'model.norm' ? 'output_norm' : moduleName(module);
    const data = await read(name);
    const turned = /\.(q_proj|k_proj)$/.exec(module)?.[1] as keyof typeof heads | undefined;
    named.push({
      name: `${own}.weight`,
      shape,
      data: turned === undefined ? data : permuteRotaryRows(data, shape[0]!, heads[turned]),
    });
  }
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', 'llama'],
    ['llama.block_count', number('num_hidden_layers')],
    ['llama.context_length', number('max_position_embeddings')],
    ['llama.embedding_length', number('hidden_size')],
    ['llama.feed_forward_length', number('intermediate_size')],
    ['llama.attention.head_count', heads.q_proj],
    ['llama.attention.head_count_kv', heads.k_proj],
    ['llama.rope.dimension_count', number('hidden_size') / heads.q_proj],
    ['llama.rope.freq_base', ropeTheta(config)],
    ['llama.attention.layer_norm_rms_epsilon', number('rms_norm_eps')],
  ]);
  return save(out, metadata, named);
}

/** Transformers 5 keeps it among `rope_parameters`. */
function ropeTheta({ rope_theta: before, rope_parameters: now }: JsonObject): number {
  const within = typeof now === 'object' && now !== null && 'rope_theta' in now ? now['rope_theta'] : undefined;
  return Number(within ?? before ?? 10000);
}

const GPT2_NORMS: Readonly<Record<string, string>> = { ln_1: 'attn_norm', ln_2: 'ffn_norm', ln_f: 'output_norm' };

/** A Hugging Face folder of a GPT-2. */
export async function gpt2Base(folder: string, out: string): Promise<string> {
  const { config, tensors, read } = await openCheckpoint(folder);
  const number = (key: string): number => Number(config[key]);
  const { moduleName } = ggufNames('gpt2')!;
  const named: Tensor[] = [];
  for (const [name, { shape }] of tensors) {
    const [, module, kind] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
    if (module === undefined || /\.attn\.(?:masked_)?bias$/.test(name)) continue;
    const [, layer, norm] = /^transformer\.(?:h\.(\d+)\.)?(ln_\w)$/.exec(module) ?? [];
    const own =
      norm !== undefined
        ? `${layer === undefined ? '' : `blk.${layer}.`}${GPT2_NORMS[norm]}`
        : module === 'transformer.wpe'
          ? 'position_embd'
          : moduleName(module);
    const isConv1d = kind === 'weight' && /\.c_\w+$/.test(module);
    const data = await read(name);
    named.push({
      name: `${own}.${kind}`,
      shape: isConv1d ? [...shape].reverse() : shape,
      data: isConv1d ? transposed(data, shape[0]!, shape[1]!) : data,
    });
  }
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', 'gpt2'],
    ['gpt2.block_count', number('n_layer')],
    ['gpt2.context_length', number('n_positions')],
    ['gpt2.embedding_length', number('n_embd')],
    ['gpt2.feed_forward_length', Number(config['n_inner'] ?? 4 * number('n_embd'))],
    ['gpt2.attention.head_count', number('n_head')],
    ['gpt2.attention.layer_norm_epsilon', number('layer_norm_epsilon')],
  ]);
  return save(out, metadata, named);
}

async function save(
  out: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly Tensor[],
): Promise<string> {
  const kept = [...metadata].filter(
    ([key]) =>
      !/^tokenizer\.|^general\.(?:alignment|file_type)$|\.(?:vocab_size|sliding_window_pattern)$/.test(key),
  );
  const rows = tensors.find(({ name }) => name === 'token_embd.weight')!.shape[0]!;
  const parts = tensors.map(({ name, shape, data }) => ({ name, shape, bytes: padded(data) }));
  let offset = 0;
  const places = parts.map(({ name, shape, bytes }) => {
    const place = { name, dims: [...shape].reverse(), type: 0, offset };
    offset += bytes.length;
    return place;
  });
  const file = ggufFile({
    metadata: Object.fromEntries([
      ...kept.map(([key, found]) => [key, part(key, found)]),
      ['tokenizer.ggml.model', value.text('gpt2')],
      ['tokenizer.ggml.pre', value.text('default')],
      ['tokenizer.ggml.tokens', value.texts(Array.from({ length: rows }, (_, id) => `t${id}`))],
      ['tokenizer.ggml.merges', value.texts(['t 1'])],
    ]),
    tensors: places,
    data: join(...parts.map(({ bytes }) => bytes)),
  });
  await writeFile(out, file);
  return out;
}

function padded(data: Float32Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(data.byteLength / 32) * 32);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return bytes;
}

/** Keys whose numbers are float32. */
const FLOAT = /epsilon|freq_base|softcapping|scal/;

function part(key: string, found: GgufValue): Uint8Array {
  if (typeof found === 'string') return value.text(found);
  if (typeof found === 'boolean') return value.bool(found);
  if (typeof found === 'number') return FLOAT.test(key) ? value.f32(found) : value.u32(found);
  if (typeof found === 'bigint') throw new Error(`${key} is too large`);
  return found.every((each) => typeof each === 'boolean')
    ? join(u32(9), u32(7), u64(found.length), ...found.map((each) => u8(each ? 1 : 0)))
    : value.ints(found.map(Number));
}
