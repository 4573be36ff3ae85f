import type { Random } from '../../src/common/random.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { readModel } from '../../src/models/readModel.js';
import { mutateBytes } from './bytes.js';
import { checkTensors } from './checkTensors.js';
import { writeInput } from './fuzz.js';
import { mutateJsonBytes } from './json.js';
import { LLAMA, TINY_MODELS } from './tinyModels.js';
import { changeOneFile, oneIn, pick, withoutOneFile } from './target.js';
import type { FuzzInput, FuzzTarget } from './target.js';

const BYTES: Readonly<Record<string, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F64: 8,
  I64: 8,
  U8: 1,
  BOOL: 1,
  I32: 4,
};
const INDEX = 'model.safetensors.index.json';
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

/** What models are saved in; the first has one type only. */
const TYPES = ['F32', 'BF16', 'F16'];

const WORDS = {
  keys: [
    ...['dtype', 'shape', 'data_offsets', '__metadata__', 'weight_map', 'metadata', 'model_type', 'head_dim'],
    ...[
      'sliding_window',
      'rope_parameters',
      'rope_theta',
      'num_local_experts',
      'quantization_config',
      'layer_types',
    ],
    ...TINY_MODELS.flatMap(({ config }) => Object.keys(config)),
    ...TINY_MODELS.flatMap(({ shapes }) => Object.keys(shapes)),
  ],
  values: [
    ...[
      '[0,4]',
      '[4,0]',
      '[0,0]',
      '[-4,0]',
      '[0,9007199254740992]',
      '[0.5,4.5]',
      '[0]',
      '[0,4,8]',
      '[1,5]',
      '[8,12]',
    ],
    ...[
      '[0]',
      '[2,2]',
      '[4294967296,4294967296]',
      '[9007199254740991,0]',
      '[1,1,1,1,1,1,1,1]',
      '[1,1,1,1,1,1,1,1,1]',
    ],
    ...[
      '"F32"',
      '"BF16"',
      '"F16"',
      '"F64"',
      '"I64"',
      '"F8_E4M3"',
      '"F4"',
      '"f32"',
      '{"format":"pt"}',
      '{"format":1}',
    ],
    ...[
      '"llama"',
      '"mistral"',
      '"qwen2"',
      '"qwen3"',
      '"gpt2"',
      '"gemma2"',
      '"gelu"',
      '"linear"',
      '"yarn"',
      '"dynamic"',
    ],
    ...[
      `"${SHARDS[0]}"`,
      '"model.safetensors"',
      '"../a.safetensors"',
      '"a/b.safetensors"',
      '".safetensors"',
      '"x.bin"',
    ],
    ...['{"dtype":"F32","shape":[1],"data_offsets":[0,4]}', '{"dtype":"F32","shape":[],"data_offsets":[0,4]}'],
  ],
};

/** Model folders: `config.json` with one safetensors file or shards and their index. */
export const safetensors: FuzzTarget = {
  name: 'safetensors',
  seeds: () => {
    const lines = Object.entries(LLAMA.shapes).map(([name, shape]) => [name, 'F32', shape] as const);
    const half = [lines.slice(0, 6), lines.slice(6)] as const;
    const map = Object.fromEntries(SHARDS.flatMap((shard, i) => half[i]!.map(([name]) => [name, shard])));
    const single = (config: object, tensors: readonly TensorLine[]): FuzzInput =>
      new Map([
        ['config.json', jsonBytes(config)],
        ['model.safetensors', tensorFile(tensors)],
      ]);
    return Promise.resolve([
      ...TINY_MODELS.map(({ config, shapes }, model) =>
        single(
          config,
          Object.entries(shapes).map(([name, shape], i) => [name, TYPES[(i * model) % TYPES.length]!, shape]),
        ),
      ),
      // Types that no model mixes.
      single({}, [
        ['scalar', 'F32', []],
        ['none', 'F16', [0, 3]],
        ['ids', 'I64', [3]],
        ['flags', 'U8', [4]],
        ['wide', 'F64', [2, 1, 1, 2]],
      ]),
      new Map([
        ['config.json', jsonBytes({ ...LLAMA.config, rope_scaling: null })],
        [INDEX, jsonBytes({ metadata: { total_size: 1000 }, weight_map: map })],
        ...SHARDS.map((shard, i) => [shard, tensorFile(half[i]!)] as const),
      ]),
    ]);
  },
  mutate(input, rng, others) {
    if (oneIn(rng, 30)) return withoutOneFile(input, rng);
    return changeOneFile(input, rng, (bytes, name) =>
      name.endsWith('.json')
        ? mutateJsonBytes(bytes, rng, WORDS)
        : mutateTensorFile(bytes, rng, pick(rng, others).get('model.safetensors')),
    );
  },
  async run(input, sandbox) {
    writeInput(sandbox, input);
    const checkpoint = await openCheckpoint(sandbox.folder);
    // Conversions and copies write a file each: some of them will do.
    await checkTensors(checkpoint, sandbox, (input.get('config.json')?.length ?? 0) % 8 === 0);
    // One of the seeds is no model: it is read as tensors only.
    if ('model_type' in checkpoint.config) readModel(checkpoint);
  },
};

export type TensorLine = readonly [name: string, dtype: string, shape: readonly number[]];

/** A safetensors file with numbers that count up. */
export function tensorFile(tensors: readonly TensorLine[]): Uint8Array {
  let offset = 0;
  const header = tensors.map(([name, dtype, shape]) => {
    const begin = offset;
    offset += BYTES[dtype]! * shape.reduce((a, b) => a * b, 1);
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const data = Uint8Array.from({ length: offset }, (_, i) => (i * 7) & 0x3f);
  return withHeader(jsonBytes({ __metadata__: { format: 'pt' }, ...Object.fromEntries(header) }), data);
}

/** {@link tensorFile} of small float32 numbers, and of whole ones that rise from 0 in each tensor of type I32. */
export function floatFile(tensors: readonly TensorLine[]): Uint8Array {
  const file = tensorFile(tensors);
  const start = 8 + Number(Buffer.from(file).readBigUInt64LE(0));
  let count = 0;
  const parts = tensors.map(([, dtype, shape]) => {
    const from = count;
    const length = shape.reduce((a, b) => a * b, 1);
    count += length;
    return dtype === 'I32'
      ? Int32Array.from({ length }, (_, i) => i)
      : Float32Array.from({ length }, (_, i) => (((from + i) % 13) - 6) / 8);
  });
  return Buffer.concat([file.subarray(0, start), ...parts.map(({ buffer }) => new Uint8Array(buffer))]);
}

/** Changes the header by its meaning, or the bytes. */
export function mutateTensorFile(bytes: Uint8Array, rng: Random, other: Uint8Array = bytes): Uint8Array {
  const length = bytes.length < 8 ? Infinity : Number(Buffer.from(bytes).readBigUInt64LE(0));
  if (8 + length > bytes.length || oneIn(rng, 4)) return mutateBytes(bytes, rng, other);
  const [header, data] = [bytes.subarray(8, 8 + length), bytes.subarray(8 + length)];
  if (oneIn(rng, 8)) return withHeader(header, mutateBytes(data, rng));
  if (oneIn(rng, 12)) return withHeader(header, data, pick(rng, LENGTHS));
  const spaces = oneIn(rng, 4) ? ' '.repeat(rng.integer(9)) : '';
  return withHeader(Buffer.concat([mutateJsonBytes(header, rng, WORDS), Buffer.from(spaces)]), data);
}

const LENGTHS = [
  0n,
  1n,
  2n,
  8n,
  255n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  26_214_400n,
];

function withHeader(header: Uint8Array, data: Uint8Array, claimed = BigInt(header.length)): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed);
  return Buffer.concat([length, header, data]);
}

function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
