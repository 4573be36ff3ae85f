import * as l10n from '@vscode/l10n';
import { createHash } from 'node:crypto';
import { mkdir, readdir, realpath, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder, pathKind, writeFileWhole } from '../common/files.js';
import { fail, ProblemError } from '../common/problem.js';
import type { MappedTensor, MappedWeights } from './checkpoint.js';
import { SOURCES_FILE, dropStaleEntries } from './convertedCache.js';
import type { SafetensorsHeader } from './safetensors.js';
import { readSafetensorsHeader } from './safetensors.js';
import type { TensorReader } from './writeSafetensors.js';
import { writeSafetensors } from './writeSafetensors.js';
import { elementCount } from './tensorSpans.js';

/** Raised when the conversion itself changes, so that files of earlier versions are not taken for current. */
const CONVERSION = 1;
/** Memory-mapped data start here: a cache line, and more than any SIMD load asks for. */
const ALIGNMENT = 64;
/** Space left free on the disk beside the converted file. */
const SPARE_BYTES = 64 * 1024 * 1024;

/** A temporary file not written to for so long belongs to no running conversion. */
const LEFTOVER_MILLISECONDS = 60 * 60 * 1000;

/** A tensor to convert, under the name it shall have. */
export interface TensorSource {
  readonly name: string;
  readonly shape: readonly number[];
  readonly read: TensorReader;
}

/**
 * The float32 form of a checkpoint's weights, in one file of the cache folder that is written whole, tensor by
 * tensor, and used again as long as no source file changes (path, size and time of change are its key). Before a
 * new one is made, those whose sources are gone or changed are removed. Error: `checkpoint.no-space`.
 */
export async function convertedWeights(
  sourceFiles: readonly string[],
  tensors: readonly TensorSource[],
  onProgress?: (done: number, total: number) => void,
): Promise<MappedWeights> {
  const cache = path.join(cacheFolder(), 'weights');
  const sources = await Promise.all(sourceFiles.map((each) => realpath(each)));
  const folder = path.join(cache, await sourceKey(sources));
  const file = path.join(folder, 'model.safetensors');
  const ready = await usable(file, tensors);
  if (ready) return mappedFiles([ready]);
  await dropStaleEntries(cache, sourceKey);
  await mkdir(folder, { recursive: true });
  await writeFileWhole(path.join(folder, SOURCES_FILE), `${JSON.stringify({ sources })}\n`);
  await removeLeftovers(folder);
  await checkSpace(folder, tensors);
  await writeSafetensors(
    file,
    tensors.map(({ name, shape, read }) => ({ name, shape, dtype: 'F32', data: read })),
    { format: 'pt' },
    { alignment: ALIGNMENT, onTensor: onProgress },
  );
  return mappedFiles([await readSafetensorsHeader(file)]);
}

/** Where the F32 tensors of files lie that share one real folder. Tensors of other types are left out. */
export async function mappedFiles(headers: readonly SafetensorsHeader[]): Promise<MappedWeights> {
  const tensors = new Map<string, MappedTensor>();
  let folder = '';
  for (const header of headers) {
    const file = await realpath(header.file);
    folder = path.dirname(file);
    for (const [name, { dtype, offset, length, shape }] of header.tensors) {
      if (dtype === 'F32') tensors.set(name, { file, offset, length, shape });
    }
  }
  return { folder, tensors };
}

/** @param files real paths */
async function sourceKey(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(`conversion ${CONVERSION}\n`);
  for (const file of files) {
    const { size, mtimeNs } = await stat(file, { bigint: true });
    hash.update(`${file}\n${size}\n${mtimeNs}\n`);
  }
  return hash.digest('hex').slice(0, 32);
}

/** The converted file's header if it is there and holds exactly these tensors; a damaged one is made again. */
async function usable(file: string, tensors: readonly TensorSource[]): Promise<SafetensorsHeader | undefined> {
  if ((await pathKind(file)) !== 'file') return undefined;
  try {
    const header = await readSafetensorsHeader(file);
    const same =
      header.tensors.size === tensors.length &&
      tensors.every(({ name, shape }) => header.tensors.get(name)?.shape.join() === shape.join());
    return same ? header : undefined;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}

/** A conversion that was killed leaves its temporary file; one that may still run is left alone. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    if (!name.endsWith('.tmp')) continue;
    // Another run may have renamed it meanwhile.
    const found = await stat(file).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > LEFTOVER_MILLISECONDS) await rm(file, { force: true });
  }
}

async function checkSpace(folder: string, tensors: readonly TensorSource[]): Promise<void> {
  const needed = 4 * tensors.reduce((sum, { shape }) => sum + (elementCount(shape) ?? Infinity), 0) + SPARE_BYTES;
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= needed) return;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MB`;
  fail({
    code: 'checkpoint.no-space',
    message: l10n.t`${megabytes(bavail * bsize)} are free where converted weights are kept`,
    where: { file: folder },
    expected: l10n.t`${megabytes(needed)}: the weights as float32, converted once and then shared by all runs`,
    mend: l10n.t`Free space there, or set the environment variable PEFT_STUDIO_CACHE to a folder on a bigger disk.`,
  });
}
