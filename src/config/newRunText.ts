import path from 'node:path';
import { ProblemError, fail, isError } from '../common/problem.js';
import { modelIdAt } from '../models/hub/ids.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import { parseRunFile } from './parseRunFile.js';
import { checkPaths } from './paths.js';
import { scaffoldRunFile } from './scaffold.js';

/** What a new run file is made of: paths as it writes them. */
export type NewRun = Omit<Parameters<typeof scaffoldRunFile>[0], 'width'>;

/** How a run file may be called. */
export const RUN_FILE_NAME = /[^/\\]\.peft\.ya?ml$/i;

/**
 * The text of a new run file, see {@link scaffoldRunFile}; the model and the data are looked for from its folder.
 * @param file where it will be, absolute; it need not be there yet
 * @throws ProblemError what is wrong with the model or the data, without a place: it would lead nowhere
 */
export async function newRunText(file: string, choice: NewRun): Promise<string> {
  const width = await widthOf(choice.model, path.dirname(file));
  const text = scaffoldRunFile({ ...choice, width });
  const { tree, problems } = parseRunFile(text, file);
  const found = [...problems, ...(tree === undefined ? [] : await checkPaths(tree, path.dirname(file)))];
  const error = found.find(isError);
  if (error !== undefined) fail({ ...error, where: undefined });
  return text;
}

/** A model's hidden size; undefined for one of the hub, and one that cannot be read: the run says what is wrong with it. */
async function widthOf(model: string, folder: string): Promise<number | undefined> {
  if ((await modelIdAt(model, folder)) !== undefined) return undefined;
  try {
    return readModel(await openCheckpoint(path.resolve(folder, model))).hiddenSize;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}
