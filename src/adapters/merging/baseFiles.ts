import * as l10n from '@vscode/l10n';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { pathKind } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { readJsonObject } from '../../models/boundedJson.js';
import type { Checkpoint } from '../../models/checkpoint.js';

export const CONFIG = 'config.json';
const [SINGLE, INDEX] = ['model.safetensors', 'model.safetensors.index.json'] as const;
/** As checkpoints are opened. */
const MAX_INDEX_BYTES = 25 * 1024 * 1024;

/**
 * The files that make a model what it computes: config and weights, absolute; of a GGUF file that file.
 * @throws ProblemError `checkpoint.no-weights`, `checkpoint.index.*`
 */
export async function baseFiles({
  source,
  format,
}: Pick<Checkpoint, 'source' | 'format'>): Promise<readonly string[]> {
  if (format === 'gguf') return [source];
  const at = (name: string): string => path.join(source, name);
  if ((await pathKind(at(SINGLE))) === 'file') return [at(CONFIG), at(SINGLE)];
  if ((await pathKind(at(INDEX))) !== 'file') {
    return fail({
      code: 'checkpoint.no-weights',
      message: l10n.t`the folder has no weights`,
      where: { file: source },
      expected: l10n.t`model.safetensors or model.safetensors.index.json`,
    });
  }
  const index = await readJsonObject(at(INDEX), { code: 'checkpoint.index', maxBytes: MAX_INDEX_BYTES });
  const owners = index['weight_map'];
  const shards = isJsonObject(owners) ? Object.values(owners).filter((each) => typeof each === 'string') : [];
  return [CONFIG, INDEX, ...new Set(shards)].map(at);
}

/** SHA-256 of bytes, in hexadecimal. */
export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A file's SHA-256, in hexadecimal. */
export async function hashOfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file, { highWaterMark: 1 << 22 })) hash.update(part as Uint8Array);
  return hash.digest('hex');
}

/** SHA-256 by the files' names. @param onFile called before each */
export async function hashesOf(files: readonly string[], onFile?: () => void): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const file of files) {
    onFile?.();
    found[path.basename(file)] = await hashOfFile(file);
  }
  return found;
}
