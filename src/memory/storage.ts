/** Bytes that weights take, by type and quantization. */
import * as l10n from '@vscode/l10n';
import { formatCount as count } from '../common/format.js';
import { fail } from '../common/problem.js';
import { parameterCount, placedModules, sum, weightCount } from './modelShape.js';
import type { ModelShape, PlacedModule } from './modelShape.js';

export type Dtype = 'fp32' | 'bf16' | 'fp16';

export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = { fp32: 4, bf16: 2, fp16: 2 };

/** Bytes per block and values per block of GGUF's types, as in ggml's `ggml-common.h`. */
export const GGUF_BLOCKS = {
  Q8_0: { bytes: 34, values: 32 },
  Q6_K: { bytes: 210, values: 256 },
  Q5_K: { bytes: 176, values: 256 },
  Q5_1: { bytes: 24, values: 32 },
  Q5_0: { bytes: 22, values: 32 },
  Q4_K: { bytes: 144, values: 256 },
  Q4_1: { bytes: 20, values: 32 },
  Q4_0: { bytes: 18, values: 32 },
  Q3_K: { bytes: 110, values: 256 },
  Q2_K: { bytes: 84, values: 256 },
} as const;
export type GgufTypeName = keyof typeof GGUF_BLOCKS;

/**
 * How the base's matrices are packed.
 * - `int8`: LLM.int8() (Dettmers et al. 2022): a byte per value, a float32 per output row.
 * - `nf4`: QLoRA (Dettmers et al. 2023, section 3): half a byte per value, a float32 per block of 64; with double
 *   quantization a byte per block of 64 and a float32 per 256 of those.
 * - `gguf`: blocks of one of GGUF's types.
 * int8 and nf4 leave embeddings and the output layer as they are, as bitsandbytes does; GGUF packs every matrix.
 */
export type Quantization =
  | { readonly kind: 'int8' }
  | { readonly kind: 'nf4'; readonly doubleQuantization: boolean }
  | { readonly kind: 'gguf'; readonly type: GgufTypeName };

export interface WeightStorage {
  /** The type of what is not quantized. */
  readonly dtype: Dtype;
  readonly quantization?: Quantization;
}

const NF4_BLOCK = 64;
const NF4_BLOCKS_PER_SCALE = 256;

/** Bytes of a matrix of `rows` outputs, quantized. */
export function quantizedBytes(quantization: Quantization, values: number, rows: number): number {
  switch (quantization.kind) {
    case 'int8':
      return values + 4 * rows;
    case 'nf4': {
      const blocks = Math.ceil(values / NF4_BLOCK);
      const scales = quantization.doubleQuantization
        ? blocks + 4 * Math.ceil(blocks / NF4_BLOCKS_PER_SCALE)
        : 4 * blocks;
      return Math.ceil(values / 2) + scales;
    }
    case 'gguf': {
      const block = GGUF_BLOCKS[quantization.type];
      return Math.ceil(values / block.values) * block.bytes;
    }
  }
}

/** Whether a module's matrix is packed. */
export function isQuantized(quantization: Quantization | undefined, { module, block }: PlacedModule): boolean {
  if (quantization === undefined || module.kind === 'norm') return false;
  return quantization.kind === 'gguf' || (module.kind === 'linear' && block !== undefined);
}

/** What the base's weights take, and how it comes about. */
export function weightBytes(shape: ModelShape, storage: WeightStorage): { bytes: number; formula: string } {
  const { dtype, quantization } = storage;
  const each = DTYPE_BYTES[dtype];
  const all = parameterCount(shape);
  if (quantization === undefined) {
    return { bytes: all * each, formula: l10n.t`parameters × bytes of ${dtype} = ${count(all)} × ${each}` };
  }
  const packed = placedModules(shape).filter((placed) => isQuantized(quantization, placed));
  const values = sum(packed, ({ module, layers }) => weightCount(module) * module.copies * layers);
  const packedBytes = sum(
    packed,
    ({ module, layers }) => quantizedBytes(quantization, weightCount(module), module.out) * module.copies * layers,
  );
  const rest = all - values;
  return {
    bytes: packedBytes + rest * each,
    formula: l10n.t`quantized values × bytes with scales + the rest × bytes of ${dtype} = ${count(values)} × ${(packedBytes / Math.max(values, 1)).toFixed(4)} (${describeQuantization(quantization)}) + ${count(rest)} × ${each}`,
  };
}

/** The largest matrix that is unpacked for its product, in values; 0 without quantization. */
export function largestQuantized(shape: ModelShape, quantization: Quantization | undefined): number {
  return placedModules(shape)
    .filter((placed) => placed.module.kind === 'linear' && isQuantized(quantization, placed))
    .reduce((most, { module }) => Math.max(most, weightCount(module)), 0);
}

/** `4-bit NF4, double quantization`. */
export function describeQuantization(quantization: Quantization): string {
  switch (quantization.kind) {
    case 'int8':
      return '8-bit';
    case 'nf4':
      return quantization.doubleQuantization ? l10n.t`4-bit NF4, double quantization` : l10n.t`4-bit NF4`;
    case 'gguf':
      return `GGUF ${quantization.type}`;
  }
}

/** Refuses what has no bytes per value. @throws a problem `memory.number` */
export function requireWhole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  fail({
    code: 'memory.number',
    message: l10n.t`${name} is ${value}`,
    expected: l10n.t`a whole number from ${least}`,
    mend: l10n.t`Give a whole number of at least ${least}.`,
  });
}
