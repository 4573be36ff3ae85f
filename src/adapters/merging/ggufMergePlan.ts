import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { FloatType } from '../../models/floatBytes.js';
import type { GgufCheckpoint } from '../../models/ggufCheckpoint.js';
import { ggufTypeNamed, supportedGgufTypes } from '../../models/ggufTypes.js';
import type { GgufType } from '../../models/ggufTypes.js';
import { elementCount } from '../../models/tensorSpans.js';
import type { MergedTensor } from './mergedTensors.js';

/** How matrices that an adapter changes are written: as floats, or quantized again. */
export type GgufMergeTypes =
  /** Default: the base's own type where that is one of floats, F16 where it is quantized. */
  | { readonly kind: 'float'; readonly dtype?: FloatType }
  /** Default: the base's own type of each tensor. */
  | { readonly kind: 'requantize'; readonly type?: string };

/** A tensor of a merged GGUF file. */
export interface PlannedTensor {
  /** Its name in the file. */
  readonly name: string;
  /** What it is made from: its name in the base's file, and its Hugging Face name. */
  readonly from: string;
  readonly base: string;
  readonly shape: readonly number[];
  /** In the base's file, and what it is written in where an adapter changes it. */
  readonly baseType: GgufType;
  readonly type: GgufType;
}

/**
 * What becomes of merged tensors in a GGUF file, by their Hugging Face names. Vectors (norms, biases) keep their types: llama.cpp
 * computes with them in float32.
 *
 * @throws ProblemError `merge.gguf-place`, `merge.gguf-tied`, `merge.gguf-rows`, `merge.gguf-type`
 */
export function ggufMergePlan(
  checkpoint: GgufCheckpoint,
  merged: readonly MergedTensor[],
  types: GgufMergeTypes,
): Map<string, PlannedTensor> {
  const { tensors } = checkpoint.header;
  const wanted = wantedType(types, checkpoint.source);
  return new Map(
    merged.map(({ name, shape }): [string, PlannedTensor] => {
      const stored = checkpoint.storedName(name) ?? noPlace(name, checkpoint.source);
      const isOwn = tensors.has(stored);
      if (!isOwn && !checkpoint.ownHead) refuseUntied(checkpoint.source);
      // A head that is no longer the embedding's matrix.
      const from = isOwn ? stored : 'token_embd.weight';
      const { type: baseType, shape: before } = tensors.get(from)!;
      if (shape.join() !== before.join()) refuseRows(name, shape, before, checkpoint.source);
      const type = shape.length < 2 ? baseType : wanted(baseType);
      return [
        name,
        { name: stored, from, base: isOwn ? name : 'model.embed_tokens.weight', shape, baseType, type },
      ];
    }),
  );
}

/** Bytes of a tensor, at most. */
export function plannedBytes({ shape, baseType, type }: PlannedTensor): number {
  const count = elementCount(shape) ?? Infinity;
  return Math.max(...[baseType, type].map(({ blockSize, blockBytes }) => (count / blockSize) * blockBytes));
}

/** Types of GGUF that weights are quantized to. */
export function quantizedGgufTypes(): string[] {
  return supportedGgufTypes().filter((name) => ggufTypeNamed(name)!.blockSize > 1);
}

function wantedType(types: GgufMergeTypes, file: string): (base: GgufType) => GgufType {
  const named = (name: string): GgufType =>
    ggufTypeNamed(name) ??
    fail({
      code: 'merge.gguf-type',
      message: l10n.t`${name} is no type that weights can be quantized to`,
      where: { file },
      expected: l10n.t`one of ${quantizedGgufTypes().join(', ')}`,
    });
  if (types.kind === 'requantize') {
    const type = types.type === undefined ? undefined : named(types.type);
    return (base) => type ?? base;
  }
  const dtype = types.dtype === undefined ? undefined : named(types.dtype);
  const half = named('F16');
  return (base) => dtype ?? (base.blockSize === 1 ? base : half);
}

/**
 * Whether a tensor's rows are whole blocks of the type that it gets.
 * @throws ProblemError `merge.gguf-row`
 */
export function checkRow(
  name: string,
  { shape, type: { blockSize, name: type } }: PlannedTensor,
  file: string,
): void {
  const row = shape.at(-1)!;
  if (row % blockSize === 0) return;
  fail({
    code: 'merge.gguf-row',
    message: l10n.t`rows of ${name} have ${row} numbers, and ${type} holds whole blocks of ${blockSize}`,
    where: { file },
    expected: l10n.t`a type whose blocks fill the rows, such as the base's own, ${'F16'} or, for multiples of 32, ${'Q8_0'}`,
  });
}

/** @throws ProblemError `merge.gguf-place` */
function noPlace(name: string, file: string): never {
  return fail({
    code: 'merge.gguf-place',
    message: l10n.t`the merged model has a tensor ${name}, for which GGUF files of such models have no place`,
    where: { file },
    mend: l10n.t`Merge into a model folder: a name for the output that does not end in ${'.gguf'}.`,
  });
}

/**
 * Tokens that an adapter added would have to be in the file's tokenizer, too.
 * @throws ProblemError `merge.gguf-rows`
 */
function refuseRows(name: string, shape: readonly number[], before: readonly number[], file: string): never {
  return fail({
    code: 'merge.gguf-rows',
    message: l10n.t`merged, ${name} has shape [${shape.join(', ')}], and the tokenizer of the GGUF file is made for [${before.join(', ')}]`,
    where: { file },
    expected: l10n.t`an adapter without tokens of its own`,
    mend: l10n.t`Merge into a model folder: a name for the output that does not end in ${'.gguf'}.`,
  });
}

/** @throws ProblemError `merge.gguf-tied` */
function refuseUntied(file: string): never {
  return fail({
    code: 'merge.gguf-tied',
    message: l10n.t`merged, the output layer and the embedding would no longer be one matrix, and llama.cpp reads just one of such models`,
    where: { file },
    expected: l10n.t`an adapter that leaves the embedding and the output layer alone`,
    mend: l10n.t`Merge into a model folder: a name for the output that does not end in ${'.gguf'}.`,
  });
}
