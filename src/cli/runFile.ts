import { ProblemError, isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { loadRunFile } from '../config/loadRunFile.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { Io } from './io.js';

/** All problems of one input, warnings among them. */
export class ProblemsError extends ProblemError {
  constructor(
    first: Problem,
    /** The others. */
    readonly others: readonly Problem[],
  ) {
    super(first);
  }
}

/** Whether an argument names a run file; a model is a folder or a .gguf file. */
export function isRunFile(name: string): boolean {
  return /\.(ya?ml|json)$/i.test(name);
}

/**
 * Loads a run file; its warnings are printed.
 * @throws ProblemsError with everything that is wrong with it, an error first
 */
export async function openRunFile(file: string, io: Io): Promise<LoadedRun> {
  const { run, warnings } = await checkRunFile(file);
  for (const warning of warnings) io.problem(warning);
  return run;
}

/**
 * Loads a run file.
 * @throws ProblemsError with everything that is wrong with it, an error first
 */
export async function checkRunFile(
  file: string,
  overrides: readonly string[] = [],
): Promise<{ readonly run: LoadedRun; readonly warnings: readonly Problem[] }> {
  const { run, problems } = await loadRunFile(file, overrides);
  if (run !== undefined) return { run, warnings: problems };
  const first = problems.find(isError)!;
  throw new ProblemsError(
    first,
    problems.filter((problem) => problem !== first),
  );
}
