import { open, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import type { FloatType } from '../models/floatBytes.js';
import type { PlacedWrite, TensorReader, TensorToWrite } from '../models/writeSafetensors.js';
import { startSafetensors } from '../models/writeSafetensors.js';
import { elementCount } from '../models/tensorSpans.js';
import { writeFolderWhole } from '../common/wholeFolder.js';

/** What Hugging Face's libraries cut models into. */
const MAX_SHARD_BYTES = 5e9;

export interface ModelContents {
  /** The base's `config.json`; its dtype key is set to what is written. */
  readonly config: JsonObject;
  readonly generationConfig?: JsonObject;
  readonly tensors: readonly TensorToWrite[];
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** Default 5 GB; a tensor that is bigger has a file of its own. */
  readonly maxShardBytes?: number;
  /** What becomes of a folder that is there already; default: it stays, and that is an error. */
  readonly existing?: 'refuse' | 'replace';
  /** Called after each tensor. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes a model folder as Transformers reads it: `config.json`, `generation_config.json`, `model.safetensors` (or
 * shards with `model.safetensors.index.json`), the tokenizer. Whole or not at all.
 *
 * @throws ProblemError `folder.exists`, `folder.no-space`, `safetensors.*`; and whatever a producer of data throws
 */
export async function writeModel(folder: string, contents: ModelContents): Promise<void> {
  await writeFolderWhole(
    folder,
    modelBytes(contents.tensors),
    (content) => writeModelFiles(content, contents),
    contents.existing,
  );
}

/** Bytes of the tensors on disk. */
export function modelBytes(tensors: readonly Outlined[]): number {
  return tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
}

/** {@link writeModel} into an empty folder that exists. */
async function writeModelFiles(folder: string, contents: ModelContents): Promise<void> {
  const { tensors, onProgress } = contents;
  const writer = await startModel(folder, contents);
  try {
    for (const [at, { name, data }] of tensors.entries()) {
      await writer.write(name, typeof data === 'function' ? data() : data);
      onProgress?.(at + 1, tensors.length);
    }
  } finally {
    await writer.close();
  }
}

type Outlined = Omit<TensorToWrite, 'data'>;

/** What a model folder holds, but for the numbers. */
export type ModelOutline = Omit<ModelContents, 'tensors' | 'existing' | 'onProgress'> & {
  readonly tensors: readonly Outlined[];
};

/** A model folder whose tensors come in any order; all have to come. */
export interface ModelWriter {
  /** Writes a tensor to its place, whole or part by part. Error: `safetensors.data-length`. */
  write(name: string, values: Float32Array | ReturnType<TensorReader>): Promise<void>;
  /** Flushes and closes the files. */
  close(): Promise<void>;
}

/** Writes all of a model but the numbers of its tensors into an empty folder that exists. */
export async function startModel(folder: string, outline: ModelOutline): Promise<ModelWriter> {
  const { tensors } = outline;
  const json = (name: string, value: JsonObject): Promise<void> =>
    writeFile(path.join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
  for (const [name, bytes] of outline.tokenizerFiles) await writeFile(path.join(folder, name), bytes);
  if (outline.generationConfig !== undefined) await json('generation_config.json', outline.generationConfig);
  await writeFile(path.join(folder, 'config.json'), configText(withDtype(outline.config, tensors)));

  const shards = await planShards(folder, tensors, tensorBytes, outline.maxShardBytes);
  const handles: FileHandle[] = [];
  const close = async (): Promise<void> => {
    for (const handle of handles) await handle.close();
  };
  try {
    const writes = new Map<string, PlacedWrite>();
    for (const { file, tensors: shard } of shards) {
      const handle = await open(file, 'wx');
      handles.push(handle);
      const write = await startSafetensors(file, handle, shard, { format: 'pt' });
      for (const { name } of shard) writes.set(name, write);
    }
    return {
      async write(name, values) {
        const known = await values;
        await writes.get(name)!(name, known instanceof Float32Array ? [known] : known);
      },
      async close() {
        for (const handle of handles) await handle.sync();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Gemma 2's caps, T5's factor: Transformers refuses a whole number, which is what JavaScript makes of 30.0. */
const FLOAT_KEYS = /^(\s*"(?:attn_logit_softcapping|final_logit_softcapping|initializer_factor)": \d+)(,?)$/gm;

function configText(config: JsonObject): string {
  return `${JSON.stringify(config, undefined, 2).replace(FLOAT_KEYS, '$1.0$2')}\n`;
}

function tensorBytes({ shape, dtype }: Outlined): number {
  return (elementCount(shape) ?? Infinity) * (dtype === 'F32' ? 4 : 2);
}

/** A weight file of a model folder and what it holds. */
export interface Shard<T> {
  /** Absolute where the folder is. */
  readonly file: string;
  readonly tensors: readonly T[];
}

/**
 * Which tensors go into which file of a model folder: in their order, as many to a file as fit. Of several files the index is
 * written.
 */
export async function planShards<T extends { readonly name: string }>(
  folder: string,
  tensors: readonly T[],
  bytesOf: (tensor: T) => number,
  maxBytes = MAX_SHARD_BYTES,
): Promise<readonly Shard<T>[]> {
  const shards = inShards(tensors, bytesOf, maxBytes);
  if (shards.length === 1) return [{ file: path.join(folder, 'model.safetensors'), tensors }];
  const number = (at: number): string => String(at).padStart(5, '0');
  const nameOf = (at: number): string => `model-${number(at + 1)}-of-${number(shards.length)}.safetensors`;
  const owners = shards.flatMap((shard, at) => shard.map(({ name }): [string, string] => [name, nameOf(at)]));
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
    weight_map: Object.fromEntries(owners.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  await writeFile(path.join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, undefined, 2)}\n`);
  return shards.map((shard, at) => ({ file: path.join(folder, nameOf(at)), tensors: shard }));
}

function inShards<T>(tensors: readonly T[], bytesOf: (tensor: T) => number, maxBytes: number): T[][] {
  const shards: T[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (filled > 0 && filled + bytes > maxBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += bytes;
  }
  return shards;
}

const TORCH_NAMES: Readonly<Record<FloatType, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** The config's dtype is what Transformers loads the weights as: that of most of them. */
function withDtype(config: JsonObject, tensors: readonly Outlined[]): JsonObject {
  const bytes = new Map<FloatType, number>();
  for (const tensor of tensors) bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + tensorBytes(tensor));
  const [most] = [...bytes].sort(([, a], [, b]) => b - a);
  if (most === undefined) return config;
  // Transformers 5 writes `dtype`, earlier versions `torch_dtype`, which both read.
  const keys = ['dtype', 'torch_dtype'].filter((key) => key in config);
  const name = TORCH_NAMES[most[0]];
  return {
    ...config,
    ...Object.fromEntries((keys.length > 0 ? keys : ['torch_dtype']).map((key) => [key, name])),
  };
}
