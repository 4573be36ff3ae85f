import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { isGoneError } from '../common/files.js';
import { fail } from '../common/problem.js';

/**
 * Refuses to write into what is read: it would be a part of that afterwards. Links are followed.
 *
 * @param out what `--out` names; it need not exist
 * @param sources folders and files that are read
 * @throws ProblemError `cli.out-inside`
 */
export async function refuseInside(out: string, sources: readonly string[]): Promise<void> {
  // What is written takes the place of a link to it, and does not follow it.
  const target = path.join(await realPlace(path.dirname(path.resolve(out))), path.basename(out));
  for (const source of sources) {
    if (!target.startsWith(`${await realPlace(path.resolve(source))}${path.sep}`)) continue;
    fail({
      code: 'cli.out-inside',
      message: `${path.resolve(out)} lies in ${source}, which is read`,
      expected: 'a place outside of it',
      mend: 'Name another one with --out.',
    });
  }
}

/** A path without links, as far as it exists. */
async function realPlace(place: string): Promise<string> {
  try {
    return await realpath(place);
  } catch (error) {
    const around = path.dirname(place);
    if (!isGoneError(error) || around === place) throw error;
    return path.join(await realPlace(around), path.basename(place));
  }
}
