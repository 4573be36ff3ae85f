import * as l10n from '@vscode/l10n';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathKind, writeFileWhole } from '../common/files.js';
import { fail } from '../common/problem.js';
import { parseModelId } from '../models/hub/ids.js';

/** An id with a revision has some hundred characters at most. */
const MAX_BYTES = 4096;

/**
 * Keeps in a run's folder which commit of the hub's model it trains, so that a resumed run has the same base: what
 * the run file names may be a branch, which moves.
 */
export async function notePinned(folder: string, id: string): Promise<void> {
  await writeFileWhole(fileOf(folder), `${id}\n`);
}

/**
 * The id that {@link notePinned} kept; undefined where the base is a path.
 * @throws ProblemError `resume.base-model`
 */
export async function pinnedModel(folder: string): Promise<string | undefined> {
  const file = fileOf(folder);
  if ((await pathKind(file)) === 'nothing') return undefined;
  const text = (await stat(file)).size > MAX_BYTES ? '' : (await readFile(file, 'utf8')).trim();
  if (parseModelId(text)?.revision !== undefined) return text;
  return fail({
    code: 'resume.base-model',
    message: l10n.t`the file does not hold the id of a base model`,
    where: { file },
    expected: l10n.t`org/name@commit, as PEFT Studio wrote it there when the run began`,
    mend: l10n.t`It was changed: put the id back, or train anew.`,
  });
}

function fileOf(folder: string): string {
  return path.join(folder, 'base-model.txt');
}
