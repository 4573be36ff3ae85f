import * as l10n from '@vscode/l10n';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../../common/files.js';
import type { JsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import type { Checkpoint } from '../../models/checkpoint.js';
import { copySafetensors, hashOfTensor, storedTensors } from '../../models/copySafetensors.js';
import type { StoredTensor } from '../../models/copySafetensors.js';
import { loadTokenizer } from '../../models/loadTokenizer.js';
import { readSafetensorsHeader } from '../../models/safetensors.js';
import { baseFiles } from './baseFiles.js';
import { ORIGINAL_FOLDER } from './mergeRecord.js';

/** The weights in {@link ORIGINAL_FOLDER}. */
export const ORIGINAL_WEIGHTS = 'weights.safetensors';

/** The base's own files of text that go with its weights. */
export const ORIGINAL_TEXTS = ['config.json', 'generation_config.json'] as const;

/** What the header of {@link ORIGINAL_WEIGHTS} says of each tensor of the base, in the base's order. */
export interface OriginalTensor {
  readonly name: string;
  readonly sha256: string;
}

/**
 * Keeps in a merged model's folder what a merge changed of its base: each tensor that the merged weights do not hold byte for
 * byte, its hash and those of all others, and the base's config and tokenizer.
 *
 * @param folder holds the merged weights
 * @throws ProblemError `merge.keep-gguf`, before anything is written
 */
export async function keepOriginal(folder: string, base: Pick<Checkpoint, 'source' | 'format'>): Promise<void> {
  const tensors = await baseTensors(base);
  const merged = new Map((await weightsIn(folder)).map((tensor) => [tensor.name, tensor]));
  const listed: (OriginalTensor & JsonObject)[] = [];
  const kept: StoredTensor[] = [];
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const sha256 = await hashOfTensor(tensor);
    listed.push({ name, sha256 });
    const now = merged.get(name);
    // What the merge changed does not tell it: a copy that the base does not read may be another matrix now.
    const isAlike = now?.dtype === dtype && now.shape.join() === shape.join();
    if (!isAlike || (await hashOfTensor(now)) !== sha256) kept.push(tensor);
  }
  const original = path.join(folder, ORIGINAL_FOLDER);
  await mkdir(original);
  for (const name of ORIGINAL_TEXTS) {
    const file = path.join(base.source, name);
    if ((await pathKind(file)) === 'file') await copyFile(file, path.join(original, name));
  }
  // The merged model may have the tokenizer of an adapter.
  const tokenizer = await (await loadTokenizer(base.source)).files();
  for (const [name, bytes] of tokenizer) await writeFile(path.join(original, name), bytes);
  const metadata = { format: 'pt', tensors: JSON.stringify(listed) };
  await copySafetensors(path.join(original, ORIGINAL_WEIGHTS), kept, metadata);
}

/** Bytes that {@link keepOriginal} writes at most. */
export async function mostKeptBytes(base: Pick<Checkpoint, 'source' | 'format'>): Promise<number> {
  return (await baseTensors(base)).reduce((sum, { length }) => sum + length, 0);
}

async function baseTensors(base: Pick<Checkpoint, 'source' | 'format'>): Promise<StoredTensor[]> {
  if (base.format === 'gguf') {
    return fail({
      code: 'merge.keep-gguf',
      message: l10n.t`the base model is a GGUF file, whose quantized weights a model folder cannot keep`,
      where: { file: base.source },
      mend: l10n.t`Merge without keeping them: unmerging copies the GGUF file, as long as it stays where it is.`,
    });
  }
  return weightsIn(base.source);
}

/** The tensors of a model folder. */
export async function weightsIn(folder: string): Promise<StoredTensor[]> {
  const files = await baseFiles({ source: folder, format: 'safetensors' });
  const weights = files.filter((file) => file.endsWith('.safetensors'));
  return storedTensors(await Promise.all(weights.map(readSafetensorsHeader)));
}
