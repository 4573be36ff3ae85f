import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Checkpoint, TensorInfo } from './checkpoint.js';
import { convertedWeights } from './convertedWeights.js';
import type { GgufHeader, GgufValue } from './gguf.js';
import { readGgufHeader, readGgufTensor } from './gguf.js';
import { llama3RopeScaling } from './ropeFactors.js';
import { unknownTensor } from './safetensorsFolder.js';

/** GGUF tensors outside the layers, and what Transformers calls them. */
const TOP_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'token_embd.weight': 'model.embed_tokens.weight',
    'output_norm.weight': 'model.norm.weight',
    'output.weight': 'lm_head.weight',
  }),
);

/** The same within a layer: blk.N.<name>.weight is model.layers.N.<module>.weight. */
const LAYER_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
  }),
);

/** Not a weight: the divisors of the rotary frequencies (Llama 3.1 and later). */
const ROPE_FACTORS = 'rope_freqs.weight';

/**
 * Opens a GGUF file of the llama architecture as the Hugging Face checkpoint it was made from: names, shapes
 * and row order of q and k as in Transformers, `config` rebuilt from the metadata. Errors: `gguf.*`.
 */
export async function openGgufCheckpoint(source: string): Promise<Checkpoint> {
  const file = path.resolve(source);
  const header = readGgufHeader(file);
  const field = fieldsOf(header);
  // First of all: the names of another architecture's tensors would be blamed instead.
  const architecture = field.optionalText('general.architecture');
  if (architecture !== 'llama') field.wrong('general.architecture', architecture, '"llama", the one supported');
  const names = huggingFaceNames(header);
  const config = await buildConfig(header, field, names);
  const tensors = new Map<string, TensorInfo>();
  for (const [name, ggufName] of names) {
    const { type, shape } = header.tensors.get(ggufName)!;
    tensors.set(name, { dtype: type.name, shape });
  }
  const read = async (name: string): Promise<Float32Array> => {
    const ggufName = names.get(name);
    if (ggufName === undefined) return unknownTensor(file, name, tensors.keys());
    const values = await readGgufTensor(header, ggufName);
    const heads = /\.q_proj\./.test(name)
      ? config['num_attention_heads']
      : /\.k_proj\./.test(name)
        ? config['num_key_value_heads']
        : undefined;
    if (typeof heads !== 'number') return values;
    return unpermuteRotaryRows(values, tensors.get(name)!.shape[0]!, heads);
  };
  return {
    source: file,
    format: 'gguf',
    config,
    tensors,
    read,
    mapped: (onProgress) =>
      convertedWeights(
        [file],
        [...tensors].map(([name, { shape }]) => ({ name, shape, read: () => read(name) })),
        onProgress,
      ),
  };
}

/**
 * Undoes the row order that llama.cpp's converter gives q and k. Transformers rotates component i of a head
 * with component i + d/2, llama.cpp component 2i with 2i + 1: row h·d + 2i + s of the file is row
 * h·d + s·(d/2) + i of the Hugging Face weight. `values` is [rows] or [rows, columns].
 */
export function unpermuteRotaryRows(values: Float32Array, rows: number, heads: number): Float32Array {
  const columns = values.length / rows;
  const half = rows / heads / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half));
    const within = row - head * 2 * half;
    const target = head * 2 * half + (within & 1) * half + (within >> 1);
    out.set(values.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return out;
}

/** Hugging Face name → GGUF name. Refuses what would otherwise be left out in silence. */
function huggingFaceNames(header: GgufHeader): Map<string, string> {
  const names = new Map<string, string>();
  for (const ggufName of header.tensors.keys()) {
    if (ggufName === ROPE_FACTORS) continue;
    const layer = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(ggufName);
    const module = layer ? LAYER_NAMES.get(layer[2]!) : undefined;
    const name =
      module === undefined ? TOP_NAMES.get(ggufName) : `model.layers.${layer![1]}.${module}.${layer![3]}`;
    if (name === undefined) {
      fail({
        code: 'gguf.tensor-name',
        message: `tensor ${ggufName} belongs to no part of a llama model that PEFT Studio knows`,
        where: { file: header.file },
        expected: `${[...TOP_NAMES.keys()].join(', ')} and blk.N. with ${[...LAYER_NAMES.keys()].join(', ')}`,
        mend: 'Use the model as a Hugging Face folder, or another architecture (mixtures of experts are not supported).',
      });
    }
    names.set(name, ggufName);
  }
  if (!header.tensors.has('token_embd.weight')) {
    fail({
      code: 'gguf.tensor-missing',
      message: 'tensor token_embd.weight is missing',
      where: { file: header.file },
    });
  }
  return names;
}

type Fields = ReturnType<typeof fieldsOf>;

/** Typed access to metadata; `number` and `text` say what is missing or of another kind. */
function fieldsOf({ file, metadata }: GgufHeader) {
  const wrong = (key: string, value: GgufValue | undefined, expected: string): never =>
    fail({
      code: 'gguf.metadata',
      message: `${key} is ${value === undefined ? 'missing' : JSON.stringify(String(value).slice(0, 100))}`,
      where: { file },
      expected,
    });
  const optionalNumber = (key: string): number | undefined => {
    const value = metadata.get(key);
    if (value === undefined) return undefined;
    return typeof value === 'number' && Number.isFinite(value) ? value : wrong(key, value, 'a number');
  };
  const size = (key: string): number | undefined => {
    const value = optionalNumber(key);
    // 2^24: beyond any model, and every product of two sizes stays exact.
    if (value === undefined || (Number.isInteger(value) && value > 0 && value <= 2 ** 24)) return value;
    return wrong(key, value, 'a whole number from 1 up');
  };
  return {
    optionalNumber,
    optionalSize: size,
    size: (key: string): number => size(key) ?? wrong(key, undefined, 'a whole number from 1 up'),
    number: (key: string): number => optionalNumber(key) ?? wrong(key, undefined, 'a number'),
    optionalText: (key: string): string | undefined => {
      const value = metadata.get(key);
      if (value === undefined || typeof value === 'string') return value;
      return wrong(key, value, 'a text');
    },
    wrong,
  };
}

async function buildConfig(
  header: GgufHeader,
  field: Fields,
  names: ReadonlyMap<string, string>,
): Promise<JsonObject> {
  if ((field.optionalNumber('llama.expert_count') ?? 0) > 0) {
    field.wrong(
      'llama.expert_count',
      field.number('llama.expert_count'),
      '0: mixtures of experts are not supported',
    );
  }
  const hiddenSize = field.size('llama.embedding_length');
  const heads = field.size('llama.attention.head_count');
  const keyValueHeads = field.optionalSize('llama.attention.head_count_kv') ?? heads;
  const headDim =
    field.optionalSize('llama.attention.key_length') ??
    field.optionalSize('llama.rope.dimension_count') ??
    hiddenSize / heads;
  const layers = field.size('llama.block_count');
  const intermediateSize = field.size('llama.feed_forward_length');
  const embeddings = header.tensors.get('token_embd.weight')!.shape;
  checkShapes(header, names, { hiddenSize, heads, keyValueHeads, headDim, layers, intermediateSize });
  const ropeScaling = await readRopeScaling(header, field);
  const bosId = field.optionalNumber('tokenizer.ggml.bos_token_id');
  const eosId = field.optionalNumber('tokenizer.ggml.eos_token_id');
  const padId = field.optionalNumber('tokenizer.ggml.padding_token_id');
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    head_dim: headDim,
    max_position_embeddings: field.size('llama.context_length'),
    rms_norm_eps: shortest(field.number('llama.attention.layer_norm_rms_epsilon')),
    rope_theta: shortest(field.optionalNumber('llama.rope.freq_base') ?? 10000),
    ...(ropeScaling ? { rope_scaling: ropeScaling } : {}),
    vocab_size: embeddings[0]!,
    tie_word_embeddings: !names.has('lm_head.weight'),
    attention_bias: names.has('model.layers.0.self_attn.q_proj.bias'),
    mlp_bias: names.has('model.layers.0.mlp.gate_proj.bias'),
    ...(bosId === undefined ? {} : { bos_token_id: bosId }),
    ...(eosId === undefined ? {} : { eos_token_id: eosId }),
    ...(padId === undefined ? {} : { pad_token_id: padId }),
    torch_dtype: 'float32',
  };
}

interface Sizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly intermediateSize: number;
}

/** Metadata and tensors come from one file but nothing makes them agree: each layer is checked. */
function checkShapes(header: GgufHeader, names: ReadonlyMap<string, string>, sizes: Sizes): void {
  const { hiddenSize, heads, keyValueHeads, headDim, layers, intermediateSize } = sizes;
  const expected: Readonly<Record<string, readonly number[]>> = {
    input_layernorm: [hiddenSize],
    'self_attn.q_proj': [heads * headDim, hiddenSize],
    'self_attn.k_proj': [keyValueHeads * headDim, hiddenSize],
    'self_attn.v_proj': [keyValueHeads * headDim, hiddenSize],
    'self_attn.o_proj': [hiddenSize, heads * headDim],
    post_attention_layernorm: [hiddenSize],
    'mlp.gate_proj': [intermediateSize, hiddenSize],
    'mlp.up_proj': [intermediateSize, hiddenSize],
    'mlp.down_proj': [hiddenSize, intermediateSize],
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const [module, shape] of Object.entries(expected)) {
      const name = `model.layers.${layer}.${module}`;
      checkShape(header, names, `${name}.weight`, shape);
      if (names.has(`${name}.bias`)) checkShape(header, names, `${name}.bias`, [shape[0]!]);
    }
  }
  const vocabSize = header.tensors.get('token_embd.weight')!.shape[0]!;
  checkShape(header, names, 'model.embed_tokens.weight', [vocabSize, hiddenSize]);
  checkShape(header, names, 'model.norm.weight', [hiddenSize]);
  if (names.has('lm_head.weight')) checkShape(header, names, 'lm_head.weight', [vocabSize, hiddenSize]);
  if (headDim % 2 !== 0 || heads % keyValueHeads !== 0) {
    fail({
      code: 'gguf.metadata',
      message: `${heads} heads of size ${headDim} with ${keyValueHeads} key-value heads do not fit together`,
      where: { file: header.file },
    });
  }
}

function checkShape(
  header: GgufHeader,
  names: ReadonlyMap<string, string>,
  name: string,
  expected: readonly number[],
): void {
  const found = header.tensors.get(names.get(name) ?? '')?.shape;
  if (found?.join() === expected.join()) return;
  fail({
    code: found ? 'gguf.tensor-shape' : 'gguf.tensor-missing',
    message: found ? `tensor ${name} has shape [${found.join(', ')}]` : `tensor ${name} is missing`,
    where: { file: header.file },
    expected: `[${expected.join(', ')}] by the file's metadata`,
    mend: 'Download or convert the file again.',
  });
}

/** `rope_scaling` in Hugging Face's form; undefined when positions are not scaled. */
async function readRopeScaling(header: GgufHeader, field: Fields): Promise<JsonObject | undefined> {
  if (header.tensors.has(ROPE_FACTORS)) {
    const factors = await readGgufTensor(header, ROPE_FACTORS);
    return llama3RopeScaling(factors, {
      file: header.file,
      theta: field.optionalNumber('llama.rope.freq_base') ?? 10000,
    });
  }
  const type = field.optionalText('llama.rope.scaling.type') ?? 'none';
  const factor = field.optionalNumber('llama.rope.scaling.factor');
  const original = field.optionalSize('llama.rope.scaling.original_context_length');
  switch (type) {
    case 'none':
      return undefined;
    case 'linear':
    case 'yarn':
      return {
        rope_type: type,
        factor: shortest(factor ?? field.number('llama.rope.scaling.factor')),
        ...(original === undefined ? {} : { original_max_position_embeddings: original }),
      };
    default:
      return field.wrong('llama.rope.scaling.type', type, 'none, linear or yarn');
  }
}

/** The decimal number that was meant by a float32: 1e-5 for 9.999999747378752e-6. */
function shortest(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
