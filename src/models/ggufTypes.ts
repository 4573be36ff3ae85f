/**
 * GGML's tensor types: how values are packed, and their float32 form. Layouts as in ggml's `ggml-common.h`;
 * checked against the `gguf` Python package (test/fixtures/gguf/make.py).
 */
import * as l10n from '@vscode/l10n';
import { floatBytes } from './floatBytes.js';
import type { FloatType } from './floatBytes.js';
import { bf16ToF32, f16ToF32, halfToNumber } from './floatFormats.js';
import { writeQ4_K, writeQ5_K, writeQ6_K } from './ggufKQuants.js';
import { writeQ4_0, writeQ4_1, writeQ5_0, writeQ5_1, writeQ8_0 } from './ggufQuants.js';
import type { BlockWriter } from './ggufQuants.js';

export interface GgufType {
  /** GGML's number. */
  readonly id: number;
  readonly name: string;
  /** Values per block and bytes per block; a row holds whole blocks. */
  readonly blockSize: number;
  readonly blockBytes: number;
  /** `bytes` holds whole blocks. */
  dequantize(bytes: Uint8Array): Float32Array;
  /** The nearest that the type has: finite values of whole blocks. */
  quantize(values: Float32Array): Uint8Array;
}

/** Writes the values of the block that starts at byte `at` to `out` from `to`. */
type BlockReader = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

const TYPES: readonly GgufType[] = [
  {
    ...float(0, 'F32'),
    dequantize: (bytes) => new Float32Array(aligned(bytes)),
  },
  {
    ...float(1, 'F16'),
    dequantize: (bytes) => f16ToF32(new Uint16Array(aligned(bytes))),
  },
  blocks(2, 'Q4_0', 32, 18, readQ4_0, writeQ4_0),
  blocks(3, 'Q4_1', 32, 20, readQ4_1, writeQ4_1),
  blocks(6, 'Q5_0', 32, 22, readQ5_0, writeQ5_0),
  blocks(7, 'Q5_1', 32, 24, readQ5_1, writeQ5_1),
  blocks(8, 'Q8_0', 32, 34, readQ8_0, writeQ8_0),
  blocks(12, 'Q4_K', 256, 144, readQ4_K, writeQ4_K),
  blocks(13, 'Q5_K', 256, 176, readQ5_K, writeQ5_K),
  blocks(14, 'Q6_K', 256, 210, readQ6_K, writeQ6_K),
  {
    ...float(30, 'BF16'),
    dequantize: (bytes) => bf16ToF32(new Uint16Array(aligned(bytes))),
  },
];

/** Names of types that are known but not read, so that an error can name them. */
const OTHERS: ReadonlyMap<number, string> = new Map([
  [9, 'Q8_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [39, 'MXFP4'],
]);

/** The type with GGML's number `id`, if it can be read. */
export function ggufType(id: number): GgufType | undefined {
  return TYPES.find((type) => type.id === id);
}

/** The type of this name, if it can be read. */
export function ggufTypeNamed(name: string): GgufType | undefined {
  return TYPES.find((type) => type.name === name);
}

export function ggufTypeName(id: number): string {
  return ggufType(id)?.name ?? OTHERS.get(id) ?? l10n.t`number ${id}`;
}

export function supportedGgufTypes(): string[] {
  return TYPES.map(({ name }) => name);
}

function float(id: number, name: FloatType): Omit<GgufType, 'dequantize'> {
  const quantize = (values: Float32Array): Uint8Array => floatBytes(values, name);
  return { id, name, blockSize: 1, blockBytes: name === 'F32' ? 4 : 2, quantize };
}

function blocks(
  id: number,
  name: string,
  blockSize: number,
  blockBytes: number,
  read: BlockReader,
  write: BlockWriter,
): GgufType {
  return {
    id,
    name,
    blockSize,
    blockBytes,
    dequantize: (bytes) => {
      const count = bytes.length / blockBytes;
      const out = new Float32Array(count * blockSize);
      for (let block = 0; block < count; block++) read(bytes, block * blockBytes, out, block * blockSize);
      return out;
    },
    quantize: (values) => {
      const count = values.length / blockSize;
      const bytes = new Uint8Array(count * blockBytes);
      for (let block = 0; block < count; block++) write(values, block * blockSize, bytes, block * blockBytes);
      return bytes;
    },
  };
}

/** A buffer that starts with `bytes`: their own where they begin it, as bytes just read do, else a copy. */
function aligned(bytes: Uint8Array): ArrayBufferLike {
  return bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength
    ? bytes.buffer
    : bytes.slice().buffer;
}

function half(bytes: Uint8Array, at: number): number {
  return halfToNumber(bytes[at]! | (bytes[at + 1]! << 8));
}

/** Nibbles: the low ones are values 0–15 of the block, the high ones 16–31. d · (q − 8). */
function readQ4_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i]!;
    out[to + i] = d * ((byte & 15) - 8);
    out[to + 16 + i] = d * ((byte >> 4) - 8);
  }
}

/** d · q + m. */
function readQ4_1(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = half(bytes, at);
  const m = half(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 4 + i]!;
    out[to + i] = Math.fround(d * (byte & 15)) + m;
    out[to + 16 + i] = Math.fround(d * (byte >> 4)) + m;
  }
}

/** As Q4_0 with a fifth bit per value, 32 of them in one word: d · (q − 16). */
function readQ5_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * (fiveBits(bytes, at + 2, at + 6, i) - 16);
}

function readQ5_1(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = half(bytes, at);
  const m = half(bytes, at + 2);
  for (let i = 0; i < 32; i++) out[to + i] = Math.fround(d * fiveBits(bytes, at + 4, at + 8, i)) + m;
}

function fiveBits(bytes: Uint8Array, high: number, low: number, i: number): number {
  const nibble = i < 16 ? bytes[low + i]! & 15 : bytes[low + i - 16]! >> 4;
  return nibble | (((bytes[high + (i >> 3)]! >> (i & 7)) & 1) << 4);
}

/** d · q, q signed. */
function readQ8_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * signed(bytes[at + 2 + i]!);
}

/** 8 groups of 32; (d · scale_g) · q − (dmin · min_g), scales and mins of 6 bits. */
function readQ4_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  readK(bytes, at, out, to, at + 16, () => 0);
}

function readQ5_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  readK(bytes, at, out, to, at + 48, (group, i) => ((bytes[at + 16 + i]! >> group) & 1) << 4);
}

function readK(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
  nibbles: number,
  high: (group: number, i: number) => number,
): void {
  const d = half(bytes, at);
  const dmin = half(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const [scale, min] = scaleAndMin(bytes, at + 4, group);
    const dl = Math.fround(d * scale);
    const ml = Math.fround(dmin * min);
    // Two groups share 32 bytes: the even one has the low nibbles.
    const from = nibbles + 32 * (group >> 1);
    for (let i = 0; i < 32; i++) {
      const nibble = group & 1 ? bytes[from + i]! >> 4 : bytes[from + i]! & 15;
      out[to + 32 * group + i] = Math.fround(dl * (nibble | high(group, i))) - ml;
    }
  }
}

/** 12 bytes: 6-bit scales and mins of groups 0–3 in the low six bits; those of 4–7 in nibbles and the top bits. */
function scaleAndMin(bytes: Uint8Array, at: number, group: number): [number, number] {
  if (group < 4) return [bytes[at + group]! & 63, bytes[at + 4 + group]! & 63];
  const packed = bytes[at + 4 + group]!;
  return [(packed & 15) | ((bytes[at + group - 4]! >> 6) << 4), (packed >> 4) | ((bytes[at + group]! >> 6) << 4)];
}

/** 16 groups of 16; (d · scale_g) · (q − 32), scales signed bytes, q of 4 low and 2 high bits. */
function readQ6_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = half(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    // Each half of the block has 64 bytes of nibbles and 32 bytes of bit pairs for 4 runs of 32 values.
    const part = i >> 7;
    const run = (i >> 5) & 3;
    const lane = i & 31;
    const low = bytes[at + 64 * part + 32 * (run & 1) + lane]!;
    const high = (bytes[at + 128 + 32 * part + lane]! >> (2 * run)) & 3;
    const q = (run < 2 ? low & 15 : low >> 4) | (high << 4);
    const scale = signed(bytes[at + 192 + (i >> 4)]!);
    out[to + i] = Math.fround(d * scale) * (q - 32);
  }
}

function signed(byte: number): number {
  return byte > 127 ? byte - 256 : byte;
}
