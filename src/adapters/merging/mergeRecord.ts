import * as l10n from '@vscode/l10n';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isGoneError, pathKind, writeFileWhole } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import { fail, problemOf } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { readJsonObject } from '../../models/boundedJson.js';

/**
 * In a merged model's folder: what of its base the merged weights no longer hold. It is a folder of its own, for programs that
 * serve models take whatever safetensors files lie beside each other for weights of the model.
 */
export const ORIGINAL_FOLDER = 'original';

/** Beside a merged model's weights: what it was merged from. Other tools pass it over. */
export const MERGE_RECORD = 'peft_studio_merge.json';

/** It has some hundred bytes, and a hundred for each of the base's files, of which the biggest models have some 200. */
const MAX_RECORD_BYTES = 256 * 1024;

/** What a merged model was merged from; `merged_adapters` is what PEFT's status functions call them. */
export interface MergeRecord {
  readonly merged_adapters: readonly string[];
  /** A path, or an id of the hub with its commit. */
  readonly base_model_name_or_path: string;
  readonly dtype: string;
  /** Of logits in float32, against base + adapter. */
  readonly verified_difference: number;
  /** SHA-256 of the base's config and weight files by their names, as they were merged; absent in older records. */
  readonly base_files?: Readonly<Record<string, string>>;
}

/** Writes the record into a merged model's folder. */
export async function writeMergeRecord(folder: string, record: MergeRecord): Promise<void> {
  await writeFileWhole(path.join(folder, MERGE_RECORD), `${JSON.stringify(record, undefined, 2)}\n`);
}

/** A merged model's folder as a list shows it. */
export interface FoundMerged {
  readonly kind: 'merged';
  /** Absolute. */
  readonly folder: string;
  readonly base: string | undefined;
  readonly record: MergeRecord | undefined;
  /** With what the merge kept of its base. */
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly modified: number;
  /** Why the record cannot be read. */
  readonly problem?: Problem;
}

/** What a folder with a merge record holds; what cannot be read says why. Undefined: there is no record. */
export async function findMerged(folder: string): Promise<FoundMerged | undefined> {
  const file = path.join(folder, MERGE_RECORD);
  let [bytes, modified] = [0, 0];
  try {
    modified = (await stat(file)).mtimeMs;
    for (const place of [folder, path.join(folder, ORIGINAL_FOLDER)]) {
      if ((await pathKind(place)) !== 'folder') continue;
      for (const entry of await readdir(place, { withFileTypes: true })) {
        if (entry.isFile()) bytes += (await stat(path.join(place, entry.name))).size;
      }
    }
    const record = await readMergeRecord(file);
    return { kind: 'merged', folder, base: record.base_model_name_or_path, record, bytes, modified };
  } catch (error) {
    if (isGoneError(error)) return undefined;
    return {
      kind: 'merged',
      folder,
      base: undefined,
      record: undefined,
      bytes,
      modified,
      problem: problemOf(error),
    };
  }
}

/** @throws ProblemError `merge.record`, `json.*` */
export async function readMergeRecord(file: string): Promise<MergeRecord> {
  const json = await readJsonObject(file, { code: 'merge.record', maxBytes: MAX_RECORD_BYTES });
  const { merged_adapters, base_model_name_or_path, dtype, verified_difference, base_files } = json;
  if (
    Array.isArray(merged_adapters) &&
    merged_adapters.every((adapter) => typeof adapter === 'string') &&
    typeof base_model_name_or_path === 'string' &&
    typeof dtype === 'string' &&
    typeof verified_difference === 'number'
  ) {
    const hashes = isJsonObject(base_files) ? Object.entries(base_files) : [];
    const texts = hashes.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
    return {
      merged_adapters,
      base_model_name_or_path,
      dtype,
      verified_difference,
      ...(texts.length === 0 ? {} : { base_files: Object.fromEntries(texts) }),
    };
  }
  return fail({
    code: 'merge.record',
    message: l10n.t`the file does not say what was merged`,
    where: { file },
    expected: l10n.t`merged_adapters, base_model_name_or_path, dtype and verified_difference`,
    mend: l10n.t`The model itself is not touched by that; merge again to have the record back.`,
  });
}
