import type { Arguments } from './arguments.js';
import type { Io } from './io.js';

/** One command: what `--help` says of it, what its arguments are, what it does. */
export interface Command {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  readonly positionals: readonly Positional[];
  readonly options: Readonly<Record<string, Option>>;
  /** What `--json` prints. */
  readonly json: string;
  /** `events`: `--json` prints one JSON object per line, and failures are `failed` events. */
  readonly jsonForm: 'document' | 'events';
  readonly examples: readonly string[];
  /** @returns the exit code; problems are thrown */
  readonly run: (args: Arguments, io: Io) => Promise<number>;
}

export interface Positional {
  readonly name: string;
  readonly help: string;
  /** Of the last one: may be given several times. */
  readonly multiple?: true;
}

export interface Option {
  readonly help: string;
  /** What stands for the value in the usage line, such as `FILE`; absent: a switch. */
  readonly value?: string;
  readonly required?: boolean;
  /** May be given several times. */
  readonly multiple?: boolean;
}
