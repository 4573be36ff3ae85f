import path from 'node:path';
import { fail, isError } from '../common/problem.js';
import { parseRunFile } from './parseRunFile.js';
import { checkPaths } from './paths.js';
import { scaffoldRunFile } from './scaffold.js';

/** What a new run file is made of: paths as it writes them. */
export type NewRun = Parameters<typeof scaffoldRunFile>[0];

/** How a run file may be called. */
export const RUN_FILE_NAME = /[^/\\]\.peft\.ya?ml$/i;

/**
 * The text of a new run file, see {@link scaffoldRunFile}; the model and the data are looked for from its folder.
 * @param file where it will be, absolute; it need not be there yet
 * @throws ProblemError what is wrong with the model or the data, without a place: it would lead nowhere
 */
export async function newRunText(file: string, choice: NewRun): Promise<string> {
  const text = scaffoldRunFile(choice);
  const { tree, problems } = parseRunFile(text, file);
  const found = [...problems, ...(tree === undefined ? [] : await checkPaths(tree, path.dirname(file)))];
  const error = found.find(isError);
  if (error !== undefined) fail({ ...error, where: undefined });
  return text;
}
