import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import * as l10n from '@vscode/l10n';
import { fail } from './problem.js';

/**
 * Writes a file whole or not at all: into a temporary name beside it, flushed, then renamed.
 * `write` receives the open handle; when it throws, the temporary file is removed and nothing changes.
 */
export async function writeWhole(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const temporary = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** {@link writeWhole} for content at hand. */
export async function writeFileWhole(file: string, content: string | Uint8Array): Promise<void> {
  await writeWhole(file, async (handle) => handle.writeFile(content));
}

/** Writes all of the bytes from an offset of the file on. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}

/** What says that there is nothing at a path, or that nothing can have such a name. */
const NOTHING_THERE: ReadonlySet<unknown> = new Set([
  'ENOENT',
  'ENOTDIR',
  'ENAMETOOLONG',
  'ERR_INVALID_ARG_VALUE',
]);

/**
 * What a path is on disk: `file`, `folder` or `nothing`. Links are followed. Throws the file system's error where
 * it cannot be told, as for a path below a folder that one may not enter.
 */
export async function pathKind(target: string): Promise<'file' | 'folder' | 'nothing'> {
  try {
    return (await stat(target)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (error instanceof Error && 'code' in error && NOTHING_THERE.has(error.code)) return 'nothing';
    throw error;
  }
}

/**
 * Refuses what is no regular file, where a link may lead to one: a device never ends, and opening a pipe waits for ever.
 * @throws ProblemError `<code>.no-file`
 */
export async function refuseDevice(file: string, code: string): Promise<void> {
  const found = await stat(file);
  if (found.isFile()) return;
  fail({
    code: `${code}.no-file`,
    message: found.isDirectory() ? l10n.t`it is a folder` : l10n.t`it is no file, but a device or a pipe`,
    where: { file },
    expected: l10n.t`a file`,
  });
}

/** Where converted weights are kept between runs: PEFT_STUDIO_CACHE, else the user's cache folder. */
export function cacheFolder(): string {
  const own = process.env['PEFT_STUDIO_CACHE'];
  if (own) return own;
  const base =
    process.platform === 'win32'
      ? (process.env['LOCALAPPDATA'] ?? path.join(homedir(), 'AppData', 'Local'))
      : process.platform === 'darwin'
        ? path.join(homedir(), 'Library', 'Caches')
        : (process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'));
  return path.join(base, 'peft-studio');
}

/** Whether the file system says that a path is not there (any more). */
export function isGoneError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
