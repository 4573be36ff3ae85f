import { parseArgs } from 'node:util';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import type { Command, Option } from './command.js';

/** A command's arguments, checked against its options. */
export interface Arguments {
  /** Positional argument `at`; it is there. */
  readonly positional: (at: number) => string;
  /** Positional arguments from `at` on: of one that may be given several times. */
  readonly rest: (at: number) => readonly string[];
  readonly flag: (name: string) => boolean;
  readonly text: (name: string) => string | undefined;
  /** A required option. */
  readonly required: (name: string) => string;
  /** Every value of an option that may be repeated. */
  readonly all: (name: string) => readonly string[];
  /** @throws ProblemError `cli.option-value` when the value is no number */
  readonly number: (name: string) => number | undefined;
}

/** Options that every command has. */
export const COMMON: Readonly<Record<string, Option>> = {
  json: { help: 'Print JSON on standard output, everything else on standard error.' },
  help: { help: 'Show this help.' },
};

/**
 * @param args behind the command's name
 * @throws ProblemError `cli.unknown-option` with the nearest name, `cli.option-value`, `cli.option-missing`,
 *   `cli.option-twice`, `cli.argument-missing`, `cli.argument-extra`
 */
export function parseArguments(command: Command, args: readonly string[]): Arguments {
  const known: Readonly<Record<string, Option>> = { ...command.options, ...COMMON };
  // Not `strict`: its messages are about JavaScript; the same checks follow here.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(known).map(([name, { value }]) => [
        name,
        { type: value === undefined ? ('boolean' as const) : ('string' as const) },
      ]),
    ),
    strict: false,
    tokens: true,
  });
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(known, token.name) ? known[token.name]! : unknownOption(command, token, known);
    const value = checkedValue(token, option, known);
    const given = values.get(token.name) ?? [];
    if (given.length > 0 && !option.multiple && option.value !== undefined) {
      fail({ code: 'cli.option-twice', message: `--${token.name} is given twice`, mend: 'Give it once.' });
    }
    values.set(token.name, [...given, value]);
  }
  checkComplete(command, positionals, values);
  const declared = (name: string): readonly string[] => {
    if (!Object.hasOwn(known, name)) throw new Error(`${command.name} declares no option ${name}`);
    return values.get(name) ?? [];
  };
  return {
    positional: (at) => positionals[at]!,
    rest: (at) => positionals.slice(at),
    flag: (name) => declared(name).length > 0,
    text: (name) => declared(name)[0],
    required: (name) => declared(name)[0]!,
    all: declared,
    number(name) {
      const text = declared(name)[0];
      if (text === undefined) return undefined;
      const number = Number(text);
      if (text.trim() !== '' && Number.isFinite(number)) return number;
      return fail({ code: 'cli.option-value', message: `--${name} is "${text}"`, expected: 'a number' });
    },
  };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string;
  readonly inlineValue?: boolean;
}

function unknownOption(command: Command, token: OptionToken, known: Readonly<Record<string, Option>>): never {
  const near = nearestName(token.name, Object.keys(known));
  return fail({
    code: 'cli.unknown-option',
    message: `\`${command.name}\` has no option ${token.rawName}`,
    expected: `one of ${Object.keys(known)
      .map((name) => `--${name}`)
      .join(', ')}`,
    mend: near === undefined ? `See peft-studio ${command.name} --help.` : `Did you mean --${near}?`,
  });
}

function checkedValue(token: OptionToken, option: Option, known: Readonly<Record<string, Option>>): string {
  if (option.value === undefined) {
    if (token.value === undefined) return '';
    return fail({
      code: 'cli.option-value',
      message: `--${token.name} takes no value, and is given "${token.value}"`,
      mend: `Write --${token.name} alone.`,
    });
  }
  // `--prompt --json` has forgotten the prompt; a text that is meant so is written --prompt=--json.
  const swallowed = !token.inlineValue && Object.keys(known).some((name) => token.value === `--${name}`);
  if (token.value !== undefined && !swallowed) return token.value;
  return fail({
    code: 'cli.option-value',
    message: `--${token.name} has no value`,
    expected: `--${token.name} ${option.value}`,
    mend: swallowed ? `If "${token.value}" is the value, write --${token.name}=${token.value}` : undefined,
  });
}

function checkComplete(
  command: Command,
  positionals: readonly string[],
  values: ReadonlyMap<string, readonly string[]>,
): void {
  const missing = command.positionals[positionals.length];
  if (missing !== undefined) {
    fail({
      code: 'cli.argument-missing',
      message: `\`${command.name}\` needs ${missing.name}: ${missing.help}`,
      mend: `See peft-studio ${command.name} --help.`,
    });
  }
  const extra = positionals[command.positionals.length];
  if (extra !== undefined && command.positionals.at(-1)?.multiple !== true) {
    fail({
      code: 'cli.argument-extra',
      message: `\`${command.name}\` does not know what to do with "${extra}"`,
      expected: command.positionals.map(({ name }) => name).join(' ') || 'no argument',
      mend: 'Put arguments that hold spaces in quotes.',
    });
  }
  for (const [name, option] of Object.entries(command.options)) {
    if (!option.required || values.has(name)) continue;
    fail({
      code: 'cli.option-missing',
      message: `\`${command.name}\` needs --${name}: ${option.help}`,
      expected: `--${name} ${option.value}`,
    });
  }
}
