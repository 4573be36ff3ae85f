import * as l10n from '@vscode/l10n';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { sweepHalfWritten, temporaryBeside } from './halfWritten.js';
import { fail } from './problem.js';
import { checkSpace, isFree, makeFolder } from './wholeFolder.js';

/**
 * Makes a file whole or not at all: under a temporary name beside it, which becomes its own at the end. When `make` throws,
 * nothing is left of it. A file that exists is not touched. What an earlier try left when it was killed is removed.
 *
 * @param bytes that it will have, checked against the free space first
 * @param make receives the temporary name
 * @throws ProblemError `file.exists`, `folder.no-parent`, `folder.no-space`
 */
export async function makeFileWhole<T>(
  file: string,
  bytes: number,
  make: (temporary: string) => Promise<T>,
): Promise<T> {
  await refuseExistingFile(file);
  await makeFolder(path.dirname(file));
  await sweepHalfWritten(file);
  await checkSpace(file, bytes);
  const temporary = temporaryBeside(file);
  try {
    const result = await make(temporary);
    await refuseExistingFile(file);
    await rename(temporary, file);
    return result;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** @throws ProblemError `file.exists`, before work whose result could not be written */
export async function refuseExistingFile(file: string): Promise<void> {
  if (await isFree(file)) return;
  fail({
    code: 'file.exists',
    message: l10n.t`there is something by the name of the file to write; it is left as it is`,
    where: { file },
    mend: l10n.t`Name another file, or remove this one first.`,
  });
}
