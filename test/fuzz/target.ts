import type { Random } from '../../src/common/random.js';

/** Files by name: one for most formats, several for a folder. */
export type FuzzInput = ReadonlyMap<string, Uint8Array>;

/** Folders of a run, made and emptied by the driver. */
export interface Sandbox {
  /** Holds the input's files and nothing else. */
  readonly folder: string;
  /** For what a target writes itself. */
  readonly scratch: string;
}

/** A format under test. */
export interface FuzzTarget {
  readonly name: string;
  /** Valid inputs, from which all others are made. */
  seeds(): Promise<readonly FuzzInput[]>;
  /** A changed copy of `input`; `others` are the seeds, to splice from. */
  mutate(input: FuzzInput, rng: Random, others: readonly FuzzInput[]): FuzzInput;
  /**
   * Reads the input as the product does. Returns when it is accepted, throws a ProblemError when it is refused; any
   * other error is a finding, and so is a broken invariant ({@link broken}).
   */
  run(input: FuzzInput, sandbox: Sandbox): Promise<void>;
}

/** Throws that an accepted input breaks an invariant. */
export function broken(what: string): never {
  throw new Error(`invariant broken: ${what}`);
}

/** One of the items. */
export function pick<T>(rng: Random, items: readonly T[]): T {
  return items[rng.integer(items.length)]!;
}

/** True once in `times`. */
export function oneIn(rng: Random, times: number): boolean {
  return rng.integer(times) === 0;
}

/** An input of one text file. */
export function textInput(name: string, text: string): FuzzInput {
  return new Map([[name, Buffer.from(text)]]);
}

/** A copy without one of its files. */
export function withoutOneFile(input: FuzzInput, rng: Random): FuzzInput {
  const left = pick(rng, [...input.keys()]);
  return new Map([...input].filter(([name]) => name !== left));
}

/** A copy in which one file, drawn at random, is changed. */
export function changeOneFile(
  input: FuzzInput,
  rng: Random,
  change: (bytes: Uint8Array, name: string) => Uint8Array,
): FuzzInput {
  if (input.size === 0) return input;
  const [name, bytes] = pick(rng, [...input]);
  return new Map([...input, [name, change(bytes, name)]]);
}
