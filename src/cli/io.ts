import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describeProblem } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Interrupt } from './interrupt.js';
import { createProgress } from './progress.js';
import type { Progress, ProgressForm } from './progress.js';
import { printable, stylesFor } from './styles.js';
import type { Styles } from './styles.js';

/** What is used of standard output and standard error. */
export interface Output {
  readonly write: (text: string) => unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly hasColors?: () => boolean;
}

/** A command's way to the outside. */
export interface Io {
  /** A line of the result, on standard output. */
  readonly line: (text: string) => void;
  /** A piece of the result, without a line break. */
  readonly piece: (text: string) => void;
  /** A value as JSON in one line, on standard output. */
  readonly json: (value: object) => void;
  /** A line beside the result, on standard error. */
  readonly note: (text: string) => void;
  /** A problem with its place, on standard error. */
  readonly problem: (problem: Problem) => void;
  /** On standard error. */
  readonly progress: Progress;
  /** For standard output. */
  readonly styles: Styles;
  /** Standard output is a terminal. */
  readonly terminal: boolean;
  /**
   * All of standard input as text.
   * @throws ProblemError `cli.interrupted` when Ctrl-C comes before its end
   */
  readonly readInput: () => Promise<string>;
  readonly interrupt: Interrupt;
  /** The worker's program, absolute. */
  readonly worker: string;
}

/** Joins the streams of a process to what commands use: results go to `stdout`, everything else to `stderr`. */
export function createIo(parts: {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly interrupt: Interrupt;
  readonly worker: string;
  /** How progress is told on `stderr`; absent: to a person. */
  readonly progress?: ProgressForm;
}): Io {
  const { stdout, stderr } = parts;
  const progress = createProgress(stderr, Date.now, parts.progress);
  const noteStyles = stylesFor(stderr);
  // Where both are one terminal, the progress line has to make room for either.
  const out = (text: string): void => progress.aside(() => stdout.write(text));
  const note = (text: string): void => progress.aside(() => stderr.write(`${text}\n`));
  return {
    line: (text) => out(`${text}\n`),
    piece: out,
    json: (value) => out(`${JSON.stringify(value)}\n`),
    note,
    problem(problem) {
      const [first, ...rest] = printable(describeProblem(problem)).split('\n');
      const paint = problem.severity === 'warning' ? noteStyles.yellow : noteStyles.red;
      const kind = problem.severity === 'warning' ? 'warning' : 'error';
      note([`${paint(kind)} ${first} [${problem.code}]`, ...rest.map((line) => `  ${line}`)].join('\n'));
    },
    progress,
    styles: stylesFor(stdout),
    terminal: stdout.isTTY === true,
    readInput: () => parts.interrupt.race(text(parts.stdin)),
    interrupt: parts.interrupt,
    worker: parts.worker,
  };
}
