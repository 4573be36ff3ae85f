import * as l10n from '@vscode/l10n';
import { copyFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { writeFolderWhole } from '../../common/wholeFolder.js';
import { parseJson } from '../../models/boundedJson.js';
import { copySafetensors, storedTensors } from '../../models/copySafetensors.js';
import type { StoredTensor } from '../../models/copySafetensors.js';
import { loadTokenizer } from '../../models/loadTokenizer.js';
import { openCheckpoint } from '../../models/openCheckpoint.js';
import { readSafetensorsHeader } from '../../models/safetensors.js';
import { CONFIG, baseFiles, hashOf, hashOfFile } from './baseFiles.js';
import { filesBeside } from '../filesBeside.js';
import { ORIGINAL_TEXTS, ORIGINAL_WEIGHTS, weightsIn } from './keptOriginal.js';
import type { OriginalTensor } from './keptOriginal.js';
import { MERGE_RECORD, ORIGINAL_FOLDER, readMergeRecord } from './mergeRecord.js';
import type { MergeRecord } from './mergeRecord.js';
import { planShards } from '../writeModel.js';

export interface UnmergeJob {
  /** A merged model's folder. */
  readonly merged: string;
  /** The folder to write; it must not exist. */
  readonly out: string;
  /** Where a base model is on this machine that is named so; undefined: it is not. */
  readonly findBase: (base: string) => Promise<string | undefined>;
  /** An error that it throws ends the work, leaving nothing. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface UnmergeReport {
  /** The folder written, absolute. */
  readonly out: string;
  /** What it was restored from: what the merge kept beside the merged weights, or the base itself. */
  readonly from: 'kept' | 'base';
  /** The base model, as the record of the merge names it. */
  readonly base: string;
  /** Of the weights. */
  readonly bytes: number;
}

/**
 * Restores the base of a merged model, bit for bit: from what `merge --keep-original` kept, else by copying the base where it
 * still is. Each tensor, or file, has to have the hash that it had when it was merged. (Taking the update off the merged
 * weights would not do: what rounding took does not come back.)
 *
 * @throws ProblemError `unmerge.folder-not-found`, `unmerge.no-record`, `unmerge.no-original`, `unmerge.damaged`, `merge.record`,
 *   `adapter.link-outside`, `adapter.no-file`, `folder.*`
 */
export async function unmerge(job: UnmergeJob): Promise<UnmergeReport> {
  const merged = path.resolve(job.merged);
  const kind = await pathKind(merged);
  if (kind !== 'folder') noFolder(merged, kind);
  const recordFile = path.join(merged, MERGE_RECORD);
  if ((await pathKind(recordFile)) !== 'file') return noRecord(merged);
  const record = await readMergeRecord(recordFile);
  const kept = path.join(merged, ORIGINAL_FOLDER, ORIGINAL_WEIGHTS);
  if ((await pathKind(kept)) === 'file') return fromKept(kept, merged, record, job);
  return fromBase(merged, record, job);
}

async function fromKept(
  kept: string,
  merged: string,
  record: MergeRecord,
  { out, onProgress }: UnmergeJob,
): Promise<UnmergeReport> {
  const original = await readSafetensorsHeader(kept);
  const there = await weightsIn(merged);
  const byName = new Map([...there, ...storedTensors([original])].map((tensor) => [tensor.name, tensor]));
  const listed = originalTensors(original.metadata, kept);
  const tensors = listed.map(({ name }) => byName.get(name) ?? damaged(kept, name));
  const hashes = new Map(listed.map(({ name, sha256 }) => [name, sha256]));
  const beside = await filesBeside(path.dirname(kept), ORIGINAL_TEXTS);
  const [config, wanted] = [beside.get(CONFIG), record.base_files?.[CONFIG]];
  const isSame = config !== undefined && (wanted === undefined || hashOf(config) === wanted);
  if (!isSame) damaged(path.dirname(kept), CONFIG);
  const bytes = bytesOf(tensors);
  return writeFolderWhole(path.resolve(out), bytes, async (content) => {
    for (const [name, text] of beside) await writeFile(path.join(content, name), text);
    let done = 0;
    for (const shard of await planShards(content, tensors, ({ length }) => length)) {
      await copySafetensors(shard.file, shard.tensors, { format: 'pt' }, ({ name, file }, sha256) => {
        if (hashes.get(name) !== sha256) damaged(file, name);
        onProgress?.(++done, tensors.length);
      });
    }
    return { out: path.resolve(out), from: 'kept', base: record.base_model_name_or_path, bytes };
  });
}

async function fromBase(
  merged: string,
  record: MergeRecord,
  { out, findBase, onProgress }: UnmergeJob,
): Promise<UnmergeReport> {
  const { base_model_name_or_path: base, base_files: hashes } = record;
  const notKept = l10n.t`it has no folder ${ORIGINAL_FOLDER} with what the merge changed`;
  if (hashes === undefined) {
    return noOriginal(merged, [
      notKept,
      l10n.t`its record does not tell the base's files: it was written by an earlier version`,
    ]);
  }
  const place = await findBase(base);
  if (place === undefined)
    return noOriginal(merged, [notKept, l10n.t`the base model ${base} is not on this machine`]);
  const checkpoint = await openCheckpoint(place);
  const files = await baseFiles(checkpoint);
  const isThere = new Set(files.map((file) => path.basename(file)));
  const missing = Object.keys(hashes).find((name) => !isThere.has(name));
  if (missing !== undefined)
    return noOriginal(merged, [notKept, l10n.t`the base model in ${place} has no ${missing} any more`]);
  const tokenizer =
    checkpoint.format === 'gguf' ? new Map<string, Uint8Array>() : await (await loadTokenizer(place)).files();
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return writeFolderWhole(path.resolve(out), bytes, async (content) => {
    for (const [name, text] of tokenizer) await writeFile(path.join(content, name), text);
    // A base that was merged itself keeps the record of that.
    for (const name of checkpoint.format === 'gguf' ? [] : [...ORIGINAL_TEXTS, MERGE_RECORD]) {
      const file = path.join(place, name);
      if (!isThere.has(name) && (await pathKind(file)) === 'file') await copyFile(file, path.join(content, name));
    }
    for (const [at, file] of files.entries()) {
      const copy = path.join(content, path.basename(file));
      await copyFile(file, copy);
      // The copy is what counts.
      if ((await hashOfFile(copy)) !== hashes[path.basename(file)]) {
        noOriginal(merged, [
          notKept,
          l10n.t`the base model in ${place} was changed since: ${path.basename(file)} is another file`,
        ]);
      }
      onProgress?.(at + 1, files.length);
    }
    return { out: path.resolve(out), from: 'base', base, bytes };
  });
}

function bytesOf(tensors: readonly StoredTensor[]): number {
  return tensors.reduce((sum, { length }) => sum + length, 0);
}

function originalTensors(metadata: Readonly<Record<string, string>>, file: string): readonly OriginalTensor[] {
  const list = parseJson(metadata['tensors'] ?? '', { file, code: 'unmerge', maxDepth: 3 });
  if (!Array.isArray(list)) return damaged(file, 'tensors');
  return list.map((each) => {
    const { name, sha256 } = isJsonObject(each) ? each : {};
    return typeof name === 'string' && typeof sha256 === 'string' ? { name, sha256 } : damaged(file, 'tensors');
  });
}

function noFolder(place: string, kind: 'file' | 'nothing'): never {
  return fail({
    code: 'unmerge.folder-not-found',
    message: kind === 'nothing' ? l10n.t`folder not found: ${place}` : l10n.t`${place} is a file, not a folder`,
    expected: l10n.t`the folder of a model that PEFT Studio merged, with ${MERGE_RECORD}`,
    mend:
      kind === 'nothing'
        ? l10n.t`Check the path.`
        : l10n.t`A merged file does not tell its base: take the base model from where it came.`,
  });
}

function noRecord(file: string): never {
  return fail({
    code: 'unmerge.no-record',
    message: l10n.t`the folder does not say what it was merged from`,
    where: { file },
    expected: l10n.t`the folder of a model that PEFT Studio merged, with ${MERGE_RECORD}`,
    mend: l10n.t`Take the base model from where it came.`,
  });
}

function noOriginal(file: string, looked: readonly string[]): never {
  return fail({
    code: 'unmerge.no-original',
    message: l10n.t`the base cannot be restored bit for bit: ${looked.join('; ')}`,
    where: { file },
    expected: l10n.t`the base model as it was merged, or a merge that kept it (merge --keep-original)`,
    mend: l10n.t`Name the base with --model if it is in another place, or download it again. Taking the update off the merged weights would not give it back: what rounding took is lost.`,
  });
}

function damaged(file: string, name: string): never {
  return fail({
    code: 'unmerge.damaged',
    message: l10n.t`${name} is not what it was when the model was merged`,
    where: { file },
    mend: l10n.t`The merged model was changed since: take the base model from where it came.`,
  });
}
