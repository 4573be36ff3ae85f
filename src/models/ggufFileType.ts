import type { GgufTensor } from './gguf.js';
import { elementCount } from './tensorSpans.js';

/** llama.cpp's numbers of what most of a file's weights are in. */
const FILE_TYPES: Readonly<Record<string, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q4_K: 15,
  Q5_K: 17,
  Q6_K: 18,
  BF16: 32,
};

type Typed = Pick<GgufTensor, 'type' | 'shape'>;

/**
 * What `general.file_type` says of tensors: the type of most of their numbers. Of several numbers for one type (Q4_K_S and
 * Q4_K_M) a file that another was made from keeps its own.
 */
export function ggufFileType(
  tensors: Iterable<Typed>,
  before: { readonly tensors: Iterable<Typed>; readonly fileType: unknown },
): number {
  const name = mainType(tensors);
  const isSame = name === mainType(before.tensors) && typeof before.fileType === 'number';
  return isSame ? Number(before.fileType) : FILE_TYPES[name]!;
}

function mainType(tensors: Iterable<Typed>): string {
  const counts = new Map<string, number>();
  for (const { type, shape } of tensors) {
    counts.set(type.name, (elementCount(shape) ?? Infinity) + (counts.get(type.name) ?? 0));
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]![0];
}
