import type { JsonObject } from '../common/json.js';

/**
 * A model on disk, under its Hugging Face names and layouts, whatever the file format: weights of a linear layer are
 * [out, in] (GPT-2's Conv1D [in, out]), names are those of `transformers` (`model.layers.0.self_attn.q_proj.weight`).
 */
export interface Checkpoint {
  /** The folder or GGUF file the user named, absolute. */
  readonly source: string;
  readonly format: 'safetensors' | 'gguf';
  /** `config.json`; for GGUF the same keys, rebuilt from its metadata. */
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** One tensor as float32, row-major, whatever its type on disk. Throws a ProblemError for unknown names. */
  read(name: string): Promise<Float32Array>;
  /**
   * All tensors as float32 in files that can be memory-mapped. An F32 safetensors checkpoint is mapped as it
   * is; any other is converted once into a file in the cache folder (written whole, shared by later runs).
   * Tensors of integer types (position buffers) are left out: {@link tensors} has their dtype.
   */
  mapped(onProgress?: (done: number, total: number) => void): Promise<MappedWeights>;
}

/** What the header says of a tensor; nothing is read for it. */
export interface TensorInfo {
  /** As stored: safetensors' names (`F32`, `BF16`) or GGML's (`Q4_1`). */
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface MappedWeights {
  /** Real path of the folder that holds every file below. */
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, MappedTensor>;
}

/** Where float32 values lie in a file: byte offset from its start, byte length. */
export interface MappedTensor {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly shape: readonly number[];
}
