import * as l10n from '@vscode/l10n';
import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Checkpoint, TensorInfo } from './checkpoint.js';
import { convertedWeights } from './convertedWeights.js';
import type { GgufHeader } from './gguf.js';
import { readGgufHeader, readGgufTensor } from './gguf.js';
import type { GgufArchitecture, GgufSizes } from './ggufArchitectures.js';
import { GGUF_ARCHITECTURES } from './ggufArchitectures.js';
import type { GgufFields } from './ggufFields.js';
import { ggufFields, shortest } from './ggufFields.js';
import { permuteRotaryRows, unpermuteRotaryRows } from './ggufRotary.js';
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

/** Not a weight: the divisors of the rotary frequencies (Llama 3.1 and later). */
const ROPE_FACTORS = 'rope_freqs.weight';

/** A checkpoint that is a GGUF file, with what it takes to write another like it. */
export interface GgufCheckpoint extends Checkpoint {
  readonly header: GgufHeader;
  /** Whether llama.cpp reads an output layer of its own of such a model. */
  readonly ownHead: boolean;
  /** What llama.cpp calls a tensor, also an output layer that the file does not have; undefined for what it has no name for. */
  storedName(name: string): string | undefined;
  /** A tensor's values as the file holds them: rows of q and k in pairs, weights of norms with what is added to them. */
  stored(name: string, values: Float32Array): Float32Array;
}

/**
 * Opens a GGUF file as the Hugging Face checkpoint it was made from: names, shapes, row order of q and k and weights of
 * norms as in Transformers, `config` rebuilt from the metadata. Errors: `gguf.*`.
 */
export async function openGgufCheckpoint(source: string): Promise<GgufCheckpoint> {
  const file = path.resolve(source);
  const header = readGgufHeader(file);
  // First of all: the names of another architecture's tensors would be blamed instead.
  const architecture = readArchitecture(header);
  const names = huggingFaceNames(header, architecture);
  const config = await buildConfig(header, architecture, names);
  const tensors = new Map<string, TensorInfo>();
  for (const [name, ggufName] of names) {
    const { type, shape } = header.tensors.get(ggufName)!;
    tensors.set(name, { dtype: type.name, shape });
  }
  const layoutOf = (name: string): { readonly offset: number; readonly heads: number | undefined } => {
    const heads = architecture.pairedRows ? config[rotatedHeads(name) ?? ''] : undefined;
    return {
      offset: name.endsWith('norm.weight') ? architecture.normOffset : 0,
      heads: typeof heads === 'number' ? heads : undefined,
    };
  };
  const read = async (name: string): Promise<Float32Array> => {
    const ggufName = names.get(name);
    if (ggufName === undefined) return unknownTensor(file, name, tensors.keys());
    const values = await readGgufTensor(header, ggufName);
    const { offset, heads } = layoutOf(name);
    if (offset !== 0) return values.map((value) => value - offset);
    return heads === undefined ? values : unpermuteRotaryRows(values, tensors.get(name)!.shape[0]!, heads);
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
    header,
    ownHead: architecture.ownHead,
    storedName: (name) => names.get(name) ?? [...TOP_NAMES].find(([, own]) => own === name)?.[0],
    stored(name, values) {
      const { offset, heads } = layoutOf(name);
      if (offset !== 0) return values.map((value) => value + offset);
      return heads === undefined ? values : permuteRotaryRows(values, tensors.get(name)!.shape[0]!, heads);
    },
  };
}

function readArchitecture(header: GgufHeader): GgufArchitecture {
  const field = ggufFields(header);
  const name = field.optionalText('general.architecture');
  const supported = [...GGUF_ARCHITECTURES.keys()].map((each) => `"${each}"`).join(', ');
  return (
    GGUF_ARCHITECTURES.get(name ?? '') ?? field.wrong('general.architecture', name, l10n.t`one of ${supported}`)
  );
}

/** The key of the config with the number of heads that a tensor's rows belong to, if they are turned. */
function rotatedHeads(name: string): string | undefined {
  if (/\.q_proj\./.test(name)) return 'num_attention_heads';
  return /\.k_proj\./.test(name) ? 'num_key_value_heads' : undefined;
}

/** Hugging Face name → GGUF name. Refuses what would otherwise be left out in silence. */
function huggingFaceNames(header: GgufHeader, { layerNames, modelType }: GgufArchitecture): Map<string, string> {
  const names = new Map<string, string>();
  for (const ggufName of header.tensors.keys()) {
    if (ggufName === ROPE_FACTORS) continue;
    const layer = /^blk\.(0|[1-9]\d*)\.(\w+)\.(weight|bias)$/.exec(ggufName);
    const module = layer ? layerNames.get(layer[2]!) : undefined;
    const name =
      module === undefined ? TOP_NAMES.get(ggufName) : `model.layers.${layer![1]}.${module}.${layer![3]}`;
    if (name === undefined) {
      fail({
        code: 'gguf.tensor-name',
        message: l10n.t`tensor ${ggufName} belongs to no part of a ${modelType} model that PEFT Studio knows`,
        where: { file: header.file },
        expected: l10n.t`${[...TOP_NAMES.keys()].join(', ')} and blk.N. with ${[...layerNames.keys()].join(', ')}`,
        mend: l10n.t`Use the model as a Hugging Face folder, or another architecture (mixtures of experts are not supported).`,
      });
    }
    names.set(name, ggufName);
  }
  if (!header.tensors.has('token_embd.weight')) {
    fail({
      code: 'gguf.tensor-missing',
      message: l10n.t`tensor token_embd.weight is missing`,
      where: { file: header.file },
    });
  }
  return names;
}

async function buildConfig(
  header: GgufHeader,
  architecture: GgufArchitecture,
  names: ReadonlyMap<string, string>,
): Promise<JsonObject> {
  const general = ggufFields(header);
  const field = ggufFields(header, `${general.optionalText('general.architecture')}.`);
  if ((field.optionalNumber('expert_count') ?? 0) > 0) {
    field.wrong('expert_count', field.number('expert_count'), l10n.t`0: mixtures of experts are not supported`);
  }
  const hiddenSize = field.size('embedding_length');
  const heads = field.size('attention.head_count');
  const sizes: GgufSizes = {
    hiddenSize,
    heads,
    keyValueHeads: field.optionalSize('attention.head_count_kv') ?? heads,
    headDim:
      field.optionalSize('attention.key_length') ??
      field.optionalSize('rope.dimension_count') ??
      hiddenSize / heads,
    layers: field.size('block_count'),
    intermediateSize: field.size('feed_forward_length'),
  };
  checkShapes(header, architecture, names, sizes);
  const ropeScaling = await readRopeScaling(header, field);
  const id = (name: string): number | undefined => general.optionalNumber(`tokenizer.ggml.${name}_token_id`);
  const [bosId, eosId, padId] = [id('bos'), id('eos'), id('padding')];
  return {
    architectures: [architecture.className],
    model_type: architecture.modelType,
    hidden_size: hiddenSize,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: sizes.layers,
    num_attention_heads: heads,
    num_key_value_heads: sizes.keyValueHeads,
    head_dim: sizes.headDim,
    max_position_embeddings: field.size('context_length'),
    rms_norm_eps: shortest(field.number('attention.layer_norm_rms_epsilon')),
    rope_theta: shortest(field.optionalNumber('rope.freq_base') ?? 10000),
    ...(ropeScaling ? { rope_scaling: ropeScaling } : {}),
    vocab_size: header.tensors.get('token_embd.weight')!.shape[0]!,
    tie_word_embeddings: !names.has('lm_head.weight'),
    ...architecture.config(field, sizes, (name) => names.has(name)),
    ...(bosId === undefined ? {} : { bos_token_id: bosId }),
    ...(eosId === undefined ? {} : { eos_token_id: eosId }),
    ...(padId === undefined ? {} : { pad_token_id: padId }),
    torch_dtype: 'float32',
  };
}

/** Metadata and tensors come from one file but nothing makes them agree: each layer is checked. */
function checkShapes(
  header: GgufHeader,
  architecture: GgufArchitecture,
  names: ReadonlyMap<string, string>,
  sizes: GgufSizes,
): void {
  const { hiddenSize, heads, keyValueHeads, headDim, layers, intermediateSize } = sizes;
  const linears: Readonly<Record<string, readonly number[]>> = {
    'self_attn.q_proj': [heads * headDim, hiddenSize],
    'self_attn.k_proj': [keyValueHeads * headDim, hiddenSize],
    'self_attn.v_proj': [keyValueHeads * headDim, hiddenSize],
    'self_attn.o_proj': [hiddenSize, heads * headDim],
    'mlp.gate_proj': [intermediateSize, hiddenSize],
    'mlp.up_proj': [intermediateSize, hiddenSize],
    'mlp.down_proj': [hiddenSize, intermediateSize],
  };
  const expected = [...architecture.layerNames.values()].map((module) => {
    // What is no linear is a norm, of the hidden state or of a head.
    const shape = linears[module] ?? [module.startsWith('self_attn.') ? headDim : hiddenSize];
    return [module, shape] as const;
  });
  const beyond = [...names.keys()].find(
    (name) => Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? 0) >= layers,
  );
  if (beyond !== undefined) {
    fail({
      code: 'gguf.tensor-name',
      message: l10n.t`tensor ${String(names.get(beyond))} belongs to a layer that the model does not have`,
      where: { file: header.file },
      expected: l10n.t`blk.0 to blk.${layers - 1}, by llama.block_count`,
      mend: l10n.t`Download or convert the file again.`,
    });
  }
  for (let layer = 0; layer < layers; layer++) {
    for (const [module, shape] of expected) {
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
      message: l10n.t`${heads} heads of size ${headDim} with ${keyValueHeads} key-value heads do not fit together`,
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
    message: found ? l10n.t`tensor ${name} has shape [${found.join(', ')}]` : l10n.t`tensor ${name} is missing`,
    where: { file: header.file },
    expected: l10n.t`[${expected.join(', ')}] by the file's metadata`,
    mend: l10n.t`Download or convert the file again.`,
  });
}

/** `rope_scaling` in Hugging Face's form; undefined when positions are not scaled. */
async function readRopeScaling(header: GgufHeader, field: GgufFields): Promise<JsonObject | undefined> {
  if (header.tensors.has(ROPE_FACTORS)) {
    const factors = await readGgufTensor(header, ROPE_FACTORS);
    return llama3RopeScaling(factors, {
      file: header.file,
      theta: field.optionalNumber('rope.freq_base') ?? 10000,
    });
  }
  const type = field.optionalText('rope.scaling.type') ?? 'none';
  const factor = field.optionalNumber('rope.scaling.factor');
  const original = field.optionalSize('rope.scaling.original_context_length');
  switch (type) {
    case 'none':
      return undefined;
    case 'linear':
    case 'yarn':
      return {
        rope_type: type,
        factor: shortest(factor ?? field.number('rope.scaling.factor')),
        ...(original === undefined ? {} : { original_max_position_embeddings: original }),
      };
    default:
      return field.wrong('rope.scaling.type', type, l10n.t`none, linear or yarn`);
  }
}
