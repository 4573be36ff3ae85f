import * as l10n from '@vscode/l10n';
import type { Json } from './json.js';

/**
 * What went wrong, as a value: where it is, what was found, what was expected and how to mend it.
 * Code below the borders throws {@link ProblemError}; the borders (CLI, worker, editor) show its problem.
 */
export interface Problem {
  /** Stable, dotted and lower-case: `checkpoint.header-too-long`. Tests and documentation refer to it. */
  readonly code: string;
  /** What was found, in one sentence that may follow a place and a colon: small letter first, no full stop. */
  readonly message: string;
  readonly severity?: 'error' | 'warning';
  readonly where?: Place;
  readonly expected?: string;
  /** What the user can do about it. */
  readonly mend?: string;
  /** What to write at `where` instead, when one thing is likely meant: the editor offers it as a quick fix. */
  readonly replacement?: string;
  /** The folder of an adapter that `peft-studio repair` can mend: the editor offers it as a button. */
  readonly repairable?: string;
  /** Changes of the run file that would mend it, best first: the editor offers each as a quick fix. */
  readonly changes?: readonly ProposedChange[];
}

/** What to write into a run file, by paths of keys and indices. */
export interface ProposedChange {
  /** What it does, and what it costs. */
  readonly title: string;
  readonly set: readonly { readonly path: readonly (string | number)[]; readonly value: Json }[];
}

/** A place in a file; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly endLine?: number;
  readonly endColumn?: number;
}

/** Carries a {@link Problem} up to the border that shows it. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem, options?: ErrorOptions) {
    const short = boundedProblem(problem);
    super(describeProblem(short), options);
    this.problem = short;
    this.name = 'ProblemError';
  }
}

/** Longest text of a part: messages hold names and values out of files, which may have megabytes. */
const MAX_TEXT = 2000;
/** What stays of a longer one at its end, where messages say what the name is about. */
const KEPT_END = 500;

/** A problem whose texts can be shown: what is too long is cut in its middle. */
export function boundedProblem(problem: Problem): Problem {
  const { message, expected = '', mend = '' } = problem;
  if ([message, expected, mend].every((text) => text.length <= MAX_TEXT)) return problem;
  return {
    ...problem,
    message: bounded(message),
    ...(expected === '' ? {} : { expected: bounded(expected) }),
    ...(mend === '' ? {} : { mend: bounded(mend) }),
  };
}

function bounded(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  return `${text.slice(0, MAX_TEXT - KEPT_END)} … ${text.slice(-KEPT_END)}`;
}

/** Throws a {@link ProblemError}; typed `never` so that callers narrow. */
export function fail(problem: Problem, cause?: unknown): never {
  throw new ProblemError(problem, cause === undefined ? undefined : { cause });
}

/** Work whose problems are mended otherwise than whoever found them could know: by where the file came from. */
export async function withMend<T>(mend: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return fail({ ...error.problem, mend }, error);
  }
}

/** `file:line:column: message`, `Expected: …`, `To mend it: …`, on one line per part. */
export function describeProblem(problem: Problem): string {
  const { where, message, expected, mend } = problem;
  const place = where
    ? [where.file, where.line, where.column].filter((part) => part !== undefined).join(':') + ': '
    : '';
  return [
    place + message,
    expected === undefined ? undefined : l10n.t`Expected: ${expected}`,
    mend === undefined ? undefined : l10n.t`To mend it: ${mend}`,
  ]
    .filter((line) => line !== undefined)
    .join('\n');
}

/** Whether it keeps the work from going on; a warning does not. */
export function isError({ severity }: Problem): boolean {
  return severity !== 'warning';
}

/** What a caught value says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a user can do about the errors of the file system that meet users. */
const FILE_MENDS: Readonly<Record<string, () => string>> = {
  EACCES: () => l10n.t`Give yourself the right to it, or choose another place.`,
  EPERM: () => l10n.t`Give yourself the right to it, or choose another place.`,
  EROFS: () => l10n.t`Choose a place that can be written to.`,
  ENOSPC: () => l10n.t`Free some space on the disk, or choose another place.`,
  EDQUOT: () => l10n.t`Free some of your quota, or choose another place.`,
  ENOENT: () => l10n.t`Something removed it while it was in use: start again.`,
  ELOOP: () => l10n.t`A link points to itself: make it point to the file.`,
  EMFILE: () => l10n.t`Close other programs: too many files are open.`,
};

/** The problem of an error that the file system raised. */
function fileProblem(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  const mend = FILE_MENDS[error.code]?.();
  if (mend === undefined) return undefined;
  const file = 'path' in error && typeof error.path === 'string' ? error.path : undefined;
  const where = file === undefined ? {} : { where: { file } };
  return { code: `file.${error.code.toLowerCase()}`, message: error.message, ...where, mend };
}

/** The problem an error carries; any other error becomes one with code `internal`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  const inFiles = fileProblem(error);
  if (inFiles !== undefined) return inFiles;
  return {
    code: 'internal',
    message: messageOf(error),
    mend: l10n.t`This is a fault of PEFT Studio: please report it with the log.`,
  };
}
