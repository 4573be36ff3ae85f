import * as l10n from '@vscode/l10n';
import { lstat, mkdir, rename, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from './files.js';
import { sweepHalfWritten, temporaryBeside } from './halfWritten.js';
import { fail, messageOf } from './problem.js';

/** Space left free on the disk beside what is written. */
const SPARE_BYTES = 64 * 1024 * 1024;

/**
 * Writes a folder whole or not at all: everything goes into a temporary folder beside it, which is renamed at
 * the end; when `write` throws, it is removed and nothing has changed. A folder that exists is not touched, unless it
 * is to be replaced: then it goes when the new one is complete. What an earlier try left when it was killed is removed.
 *
 * @param bytes that will lie on the disk at once, checked against the free space first
 * @param write receives an empty folder whose content becomes the result, and one for files of passage
 * @throws ProblemError `folder.exists`, `folder.no-parent`, `folder.no-space`
 */
export async function writeFolderWhole<T>(
  folder: string,
  bytes: number,
  write: (content: string, scratch: string) => Promise<T>,
  existing: 'refuse' | 'replace' = 'refuse',
): Promise<T> {
  const target = path.resolve(folder);
  if (existing === 'refuse') await refuseExisting(target);
  await makeFolder(path.dirname(target));
  await sweepHalfWritten(target);
  await checkSpace(target, bytes);
  const temporary = temporaryBeside(target);
  const [content, scratch] = [path.join(temporary, 'content'), path.join(temporary, 'scratch')];
  try {
    await mkdir(content, { recursive: true });
    await mkdir(scratch);
    const result = await write(content, scratch);
    if (existing === 'refuse') await refuseExisting(target);
    else if ((await pathKind(target)) !== 'nothing') await rename(target, path.join(temporary, 'old'));
    await rename(content, target);
    return result;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** @throws ProblemError `folder.exists`, before work whose result could not be written */
export async function refuseExisting(folder: string): Promise<void> {
  if (await isFree(folder)) return;
  fail({
    code: 'folder.exists',
    message: l10n.t`the output folder exists already and is left as it is`,
    where: { file: folder },
    mend: l10n.t`Name another folder, or remove this one first.`,
  });
}

/** Whether nothing is at a place. A link to nothing is something, too: what it stands for is not known. */
export async function isFree(place: string): Promise<boolean> {
  if ((await pathKind(place)) !== 'nothing') return false;
  const found = await lstat(place).catch(() => undefined);
  return found?.isSymbolicLink() !== true;
}

/**
 * Makes a folder and those around it, unless they are there.
 * @throws ProblemError `folder.no-parent`
 */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    fail(
      {
        code: 'folder.no-parent',
        message: l10n.t`the folder cannot be made: ${messageOf(error)}`,
        where: { file: folder },
        mend: l10n.t`Name an output folder in a place where you may write.`,
      },
      error,
    );
  }
}

/** @throws ProblemError `folder.no-space` */
export async function checkSpace(target: string, bytes: number): Promise<void> {
  const parent = path.dirname(target);
  const { bavail, bsize } = await statfs(parent);
  if (bavail * bsize >= bytes + SPARE_BYTES) return;
  const megabytes = (count: number): string => `${Math.ceil(count / 2 ** 20)} MB`;
  fail({
    code: 'folder.no-space',
    message: l10n.t`${megabytes(bavail * bsize)} are free where ${path.basename(target)} is to be written`,
    where: { file: parent },
    expected: l10n.t`${megabytes(bytes + SPARE_BYTES)} while it is written`,
    mend: l10n.t`Free space there, or name a folder on a bigger disk.`,
  });
}
