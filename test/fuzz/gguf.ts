import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '../../src/common/random.js';
import { readGgufHeader } from '../../src/models/gguf.js';
import { ggufType } from '../../src/models/ggufTypes.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { readModel } from '../../src/models/readModel.js';
import { fixture } from '../support/fixtures.js';
import { f32, ggufFile, join, text, u32, u64, u8, value } from '../unit/models/ggufFile.js';
import type { TensorPart } from '../unit/models/ggufFile.js';
import { mutateBytes } from './bytes.js';
import { writeInput } from './fuzz.js';
import { checkTensors } from './checkTensors.js';
import { oneIn, pick } from './target.js';
import type { FuzzInput, FuzzTarget } from './target.js';
import { checkTokenizer } from './tokenizer.js';

const FILE = 'model.gguf';

/** A file by its parts, so that each can be made wrong. */
interface Parts {
  readonly version?: number;
  readonly keys: readonly (readonly [string, Uint8Array])[];
  readonly tensors: readonly TensorPart[];
  readonly data: Uint8Array;
  readonly tensorCount?: number | bigint;
  readonly keyCount?: number | bigint;
}

/** The parts of the files made here; bytes that were changed as bytes have none. */
const PARTS = new WeakMap<Uint8Array, Parts>();

/** GGUF files of a small Llama with its tokenizer. */
export const gguf: FuzzTarget = {
  name: 'gguf',
  seeds: async () => {
    const written = await readFile(fixture('decoders', 'tiny-gemma3.gguf'));
    return [
      fileOf(llama(4, 4, [0], BYTE_LEVEL)),
      fileOf(llama(4, 4, [0], SENTENCE_PIECE)),
      fileOf(llama(32, 32, [8, 2, 3, 6, 7, 1, 30], BYTE_LEVEL)),
      fileOf(llama(256, 4, [12, 13, 14], BYTE_LEVEL)),
      new Map([[FILE, written]]),
    ];
  },
  mutate(input, rng, others) {
    const bytes = input.get(FILE)!;
    const parts = PARTS.get(bytes);
    if (parts !== undefined && !oneIn(rng, 4)) return fileOf(mutateParts(parts, rng));
    return new Map([[FILE, mutateBytes(bytes, rng, pick(rng, others).get(FILE))]]);
  },
  async run(input, sandbox) {
    writeInput(sandbox, input);
    const file = path.join(sandbox.folder, FILE);
    const checkpoint = await openCheckpoint(file);
    // Conversions and copies write a file each: some of them will do.
    await checkTensors(checkpoint, sandbox, input.get(FILE)!.length % 8 === 0);
    readModel(checkpoint);
    if (readGgufHeader(file).metadata.has('tokenizer.ggml.model')) checkTokenizer(await loadTokenizer(file));
  },
};

function fileOf(parts: Parts): FuzzInput {
  const { keys, ...rest } = parts;
  const bytes = ggufFile({ ...rest, extraKeys: keys.map(([key, part]) => [key, part]) });
  PARTS.set(bytes, parts);
  return new Map([[FILE, bytes]]);
}

/** Free bytes behind the data, where tensors can be added. */
const SPARE = 512;

/** Metadata of a tokenizer; the number of tokens is the vocabulary's size. */
interface TokenizerKeys {
  readonly tokens: readonly string[];
  readonly keys: Readonly<Record<string, Uint8Array>>;
}

const BYTE_LEVEL: TokenizerKeys = {
  tokens: ['<s>', '</s>', '<|im_end|>', 'Ġ', 'a', 'b', 'ab', 'Ċ'],
  keys: {
    'tokenizer.ggml.model': value.text('gpt2'),
    'tokenizer.ggml.pre': value.text('smollm'),
    'tokenizer.ggml.merges': value.texts(['a b']),
    'tokenizer.ggml.token_type': value.ints([3, 3, 4, 1, 1, 1, 1, 1]),
  },
};
const SENTENCE_PIECE: TokenizerKeys = {
  tokens: ['<bos>', '<eos>', '<unk>', '▁', 'a', 'b', 'ab', '<0x0A>'],
  keys: {
    'tokenizer.ggml.model': value.text('llama'),
    'tokenizer.ggml.add_space_prefix': value.bool(false),
    'tokenizer.ggml.unknown_token_id': value.u32(2),
    'tokenizer.ggml.token_type': value.ints([3, 3, 2, 1, 1, 1, 1, 6]),
  },
};

/** A Llama of one layer; matrices have the types in turn where whole blocks fit a row, all else is float32. */
function llama(hidden: number, inner: number, types: readonly number[], { tokens, keys }: TokenizerKeys): Parts {
  const shapes: Readonly<Record<string, readonly number[]>> = {
    'token_embd.weight': [hidden, tokens.length],
    'output_norm.weight': [hidden],
    'output.weight': [hidden, tokens.length],
    'blk.0.attn_norm.weight': [hidden],
    'blk.0.ffn_norm.weight': [hidden],
    'blk.0.attn_q.weight': [hidden, 4],
    'blk.0.attn_k.weight': [hidden, 2],
    'blk.0.attn_v.weight': [hidden, 2],
    'blk.0.attn_output.weight': [4, hidden],
    'blk.0.ffn_gate.weight': [hidden, inner],
    'blk.0.ffn_up.weight': [hidden, inner],
    'blk.0.ffn_down.weight': [inner, hidden],
  };
  let offset = 0;
  const tensors = Object.entries(shapes).map(([name, dims], at): TensorPart => {
    const wanted = types[at % types.length]!;
    const type = dims.length > 1 && dims[0]! % ggufType(wanted)!.blockSize === 0 ? wanted : 0;
    const { blockSize, blockBytes } = ggufType(type)!;
    const start = offset;
    const length = (dims.reduce((a, b) => a * b, 1) / blockSize) * blockBytes;
    offset = Math.ceil((start + length) / 32) * 32;
    return { name, dims, type, offset: start };
  });
  return {
    keys: Object.entries({
      'general.architecture': value.text('llama'),
      'general.alignment': value.u32(32),
      'llama.block_count': value.u32(1),
      'llama.context_length': value.u32(16),
      'llama.embedding_length': value.u32(hidden),
      'llama.feed_forward_length': value.u32(inner),
      'llama.attention.head_count': value.u32(2),
      'llama.attention.head_count_kv': value.u32(1),
      'llama.attention.layer_norm_rms_epsilon': value.f32(1e-6),
      'llama.rope.freq_base': value.f32(10000),
      'llama.rope.dimension_count': value.u32(2),
      ...keys,
      'tokenizer.ggml.tokens': value.texts(tokens),
      'tokenizer.ggml.bos_token_id': value.u32(0),
      'tokenizer.ggml.eos_token_id': value.u32(1),
      'tokenizer.ggml.add_bos_token': value.bool(true),
      'tokenizer.chat_template': value.text('{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}'),
    }),
    tensors,
    data: Uint8Array.from({ length: offset + SPARE }, (_, i) => (i * 11) & 0x3f),
  };
}

function mutateParts(parts: Parts, rng: Random): Parts {
  const { keys, tensors } = parts;
  const keyAt = rng.integer(keys.length + 1);
  const [key, part] = keys[keyAt] ?? [pick(rng, KEYS), pick(rng, VALUES)];
  const tensorAt = rng.integer(tensors.length + 1);
  const tensor = tensors[tensorAt] ?? {
    name: pick(rng, NAMES),
    dims: pick(rng, [[1], [3], [4], [4, 3], [4, 5], [64]]),
    type: 0,
    offset: parts.data.length - SPARE,
  };
  switch (rng.integer(14)) {
    case 0:
      return { ...parts, keys: keys.toSpliced(keyAt, 1, [key, pick(rng, VALUES)]) };
    case 1:
      return { ...parts, keys: keys.toSpliced(keyAt, 1, [pick(rng, KEYS), part]) };
    case 2:
      return { ...parts, keys: keys.toSpliced(keyAt, 1) };
    case 3:
      return { ...parts, keys: [...keys, [pick(rng, KEYS), pick(rng, VALUES)]] };
    case 4:
      return { ...parts, keys: [...keys, [key, part]] };
    case 5:
      return { ...parts, keys: keys.toSpliced(keyAt, 1, [key, mutateBytes(part, rng)]) };
    case 6:
      return { ...parts, tensors: tensors.toSpliced(tensorAt, 1) };
    case 7:
      return { ...parts, tensors: [...tensors, tensor] };
    case 8:
      return { ...parts, tensors: tensors.toSpliced(tensorAt, 1, { ...tensor, name: pick(rng, NAMES) }) };
    case 9:
      return { ...parts, tensors: tensors.toSpliced(tensorAt, 1, { ...tensor, offset: pick(rng, NUMBERS) }) };
    case 10:
      return { ...parts, tensors: tensors.toSpliced(tensorAt, 1, { ...tensor, dims: dims(tensor.dims, rng) }) };
    case 11:
      return { ...parts, tensors: tensors.toSpliced(tensorAt, 1, { ...tensor, type: rng.integer(44) }) };
    case 12:
      return { ...parts, data: mutateBytes(parts.data, rng) };
    default:
      return {
        ...parts,
        ...pick(rng, [
          { version: pick(rng, [0, 1, 2, 4, 0x03000000, 0xffffffff]) },
          { tensorCount: pick(rng, NUMBERS) },
          { keyCount: pick(rng, NUMBERS) },
        ]),
      };
  }
}

function dims(old: readonly (number | bigint)[], rng: Random): (number | bigint)[] {
  if (old.length === 0) return [pick(rng, NUMBERS)];
  const at = rng.integer(old.length);
  return pick(rng, [
    [...old].with(at, pick(rng, NUMBERS)),
    [...old, 1],
    [...old, pick(rng, NUMBERS)],
    old.toReversed(),
    old.slice(1),
    [...old, ...old],
    Array.from({ length: 5 + rng.integer(100) }, () => 1),
  ]);
}

const NUMBERS: readonly (number | bigint)[] = [
  ...[0, 1, 2, 3, 4, 16, 31, 32, 33, 64, 255, 256, 4096, 2 ** 31, 2 ** 32, 2 ** 33, 2 ** 53 - 1, 2 ** 53],
  ...[2n ** 53n + 1n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 32n, 2n ** 60n],
];

const NAMES = [
  ...['token_embd.weight', 'output.weight', 'rope_freqs.weight', 'blk.1.attn_q.weight', 'blk.9.attn_k.weight'],
  ...[
    'blk.00.attn_q.weight',
    'blk.0.attn_q.weight',
    'blk.999999999999999999999.attn_q.weight',
    'blk.7.ffn_up.bias',
  ],
  ...[
    'blk.0.attn_k.bias',
    'blk.0.attn_norm.bias',
    'blk.0.constructor.weight',
    '__proto__',
    'constructor',
    '',
    '\0',
  ],
  ...[
    'blk.-1.attn_q.weight',
    'blk.1e3.attn_q.weight',
    'é',
    'n'.repeat(1024),
    'n'.repeat(1025),
    'n'.repeat(100_000),
  ],
];

const KEYS = [
  ...['general.architecture', 'general.alignment', 'llama.block_count', 'llama.attention.key_length'],
  ...['llama.expert_count', 'llama.rope.scaling.type', 'llama.rope.scaling.factor', 'llama.embedding_length'],
  ...['llama.rope.scaling.original_context_length', 'llama.attention.head_count', 'tokenizer.ggml.add_eos_token'],
  ...['tokenizer.ggml.tokens', 'tokenizer.ggml.merges', 'tokenizer.ggml.token_type', 'tokenizer.ggml.pre'],
  ...['tokenizer.ggml.unknown_token_id', 'tokenizer.ggml.padding_token_id', 'tokenizer.ggml.eot_token_id'],
  ...[
    'tokenizer.chat_template',
    'tokenizer.ggml.eos_token_id',
    '__proto__',
    'constructor',
    '',
    '\ud800',
    'k'.repeat(2000),
  ],
];

const STRING = 8;
const ARRAY = 9;

/** Values with their type numbers: numbers of every type, arrays in arrays, lengths that lie. */
const VALUES: readonly Uint8Array[] = [
  ...[0, 1, 2, 3, 5, 7, 8, 12, 16, 32, 1000, 2 ** 24, 2 ** 24 + 1, 2 ** 31, 2 ** 32 - 1].map(value.u32),
  ...[0, -1, 0.5, 1e-45, 3.4e38, NaN, Infinity, -Infinity].map(value.f32),
  ...[
    'llama',
    'qwen2',
    'linear',
    'yarn',
    'none',
    'gpt-2',
    'llama-bpe',
    'qwen2',
    'gpt2',
    'spm',
    '',
    '{{',
    'x'.repeat(70_000),
  ].map(value.text),
  value.bool(true),
  value.bool(false),
  join(u32(0), u8(255)),
  join(u32(1), u8(128)),
  join(u32(2), u8(1), u8(0)),
  join(u32(5), u32(0xffffffff)),
  join(u32(7), u8(7)),
  ...[0n, 1n, 4n, 2n ** 53n, 2n ** 64n - 1n].map((item) => join(u32(10), u64(item))),
  join(u32(11), u64(2n ** 63n)),
  join(u32(12), u64(0x7ff8000000000000n)),
  join(u32(13), u32(0)),
  join(u32(0xffffffff), u32(0)),
  value.texts([]),
  value.texts(['a', 'a']),
  value.texts(['', ' ', 'a b c', '__proto__', '\0', '\ud800']),
  value.texts(['a b', 'b a', 'ab ab']),
  value.texts(Array.from({ length: 3000 }, (_, i) => `t${i}`)),
  value.ints([]),
  value.ints([3, 3, 3, 3, 3, 3, 3, 3]),
  value.ints([1, 2, 3, 4, 5, 6, 7, 8, 9]),
  join(u32(STRING), u64(2n ** 62n)),
  join(u32(STRING), u64(5_000_000)),
  join(u32(ARRAY), u32(0), u64(2n ** 40n)),
  join(u32(ARRAY), u32(99), u64(3)),
  join(
    u32(ARRAY),
    u32(ARRAY),
    u64(1),
    u32(ARRAY),
    u64(1),
    u32(ARRAY),
    u64(1),
    u32(ARRAY),
    u64(1),
    u32(ARRAY),
    u64(0),
  ),
  join(u32(ARRAY), u32(ARRAY), u64(2), u32(STRING), u64(1), text('x'), u32(6), u64(1), f32(1)),
];
