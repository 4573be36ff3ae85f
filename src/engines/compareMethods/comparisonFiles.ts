import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { pathKind, writeFileWhole } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import { ProblemError, fail } from '../../common/problem.js';
import { makeFolder } from '../../common/wholeFolder.js';
import { readJsonObject } from '../../models/boundedJson.js';
import { checkNotRunning, forgetProcess, noteProcess } from '../runProcess.js';
import type { MethodComparison } from './comparison.js';
import { comparisonCsv } from './comparisonCsv.js';
import { pictureFile } from './comparisonPicture.js';
import { comparisonMarkdown } from './comparisonText.js';

export const RESULTS = 'results.json';

/** What the folder of a comparison is called, beside the runs of its file. */
export const COMPARISON_SUFFIX = '-compare-methods';

/** A run has some 500 bytes, and there may be thousands. */
const MAX_RESULTS_BYTES = 64 * 1024 * 1024;

/**
 * Takes the folder of a comparison for this process, while `work` is at work there.
 * @throws ProblemError `compare.in-use` where another process has it, `compare.other-file` where it holds the results of
 *   another run file, `folder.no-parent`
 */
export async function withComparisonFolder<T>(folder: string, file: string, work: () => Promise<T>): Promise<T> {
  await makeFolder(folder);
  await checkFree(folder);
  const known = await readComparison(folder);
  if (known !== undefined && known.file !== file) {
    fail({
      code: 'compare.other-file',
      message: l10n.t`the folder holds the results of ${known.file}`,
      where: { file: path.join(folder, RESULTS) },
      expected: l10n.t`those of ${file}, or none`,
      mend: l10n.t`Name another folder.`,
    });
  }
  noteProcess(folder);
  try {
    return await work();
  } finally {
    forgetProcess(folder);
  }
}

async function checkFree(folder: string): Promise<void> {
  try {
    await checkNotRunning(folder);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    fail({
      ...error.problem,
      code: 'compare.in-use',
      message: l10n.t`another comparison is at work in the folder`,
      mend: l10n.t`Wait for its end, stop it, or name another folder.`,
    });
  }
}

/**
 * What a folder of a comparison holds; undefined for a folder without results.
 * @throws ProblemError `compare.results` for a file that is no comparison
 */
export async function readComparison(folder: string): Promise<MethodComparison | undefined> {
  const file = path.join(folder, RESULTS);
  if ((await pathKind(file)) !== 'file') return undefined;
  const found: unknown = await readJsonObject(file, { code: 'compare.results', maxBytes: MAX_RESULTS_BYTES });
  if (isComparison(found)) return found;
  return fail({
    code: 'compare.results',
    message: l10n.t`the file holds no comparison of methods`,
    where: { file },
    mend: l10n.t`Remove it, or name another folder.`,
  });
}

/** It is our own file: what tells its version is enough to know the rest. */
export function isComparison(value: unknown): value is MethodComparison {
  return (
    isJsonObject(value) &&
    value['version'] === 1 &&
    typeof value['file'] === 'string' &&
    Array.isArray(value['methods'])
  );
}

/** Writes all that a comparison leaves beside its runs: as JSON, CSV and Markdown, and its picture. */
export async function writeComparison(comparison: MethodComparison): Promise<void> {
  const write = (name: string, content: string): Promise<void> =>
    writeFileWhole(path.join(comparison.folder, name), content);
  await write(RESULTS, `${JSON.stringify(comparison, undefined, 2)}\n`);
  await write('results.csv', comparisonCsv(comparison));
  await write('results.md', comparisonMarkdown(comparison));
  await write('results.svg', pictureFile(comparison));
}
