import { COMMON } from './arguments.js';
import type { Command, Option } from './command.js';
import { table } from './table.js';

const EXIT_CODES = [
  'Exit codes: 0 done; 1 failed; 2 unusable input; 130 interrupted (train: the adapter so far is written).',
  'With --json a problem is printed as {"error": {"code", "message", "where", "expected", "mend"}}, further ones of',
  'the same input beside it in "others"; `train` prints it as a "failed" event instead.',
].join('\n');

/** What `peft-studio --help` prints. */
export function programHelp(commands: readonly Command[], version: string): string {
  return [
    `PEFT Studio ${version}: parameter-efficient fine-tuning of language models.`,
    '',
    'Usage: peft-studio COMMAND [ARGUMENTS] [--json]',
    '',
    'Commands:',
    indented(table(commands.map(({ name, summary }) => [name, summary]))),
    '',
    'Examples:',
    '  peft-studio new sql.peft.yaml --model models/SmolLM2-135M --data train.jsonl',
    '  peft-studio train sql.peft.yaml',
    '',
    '`peft-studio COMMAND --help` tells more. --version prints the version.',
    '',
    EXIT_CODES,
  ].join('\n');
}

/** What `peft-studio COMMAND --help` prints. */
export function commandHelp(command: Command): string {
  const { name, positionals, json, examples } = command;
  const options = { ...command.options, ...COMMON };
  return [
    command.summary,
    '',
    `Usage: ${usage(command)}`,
    ...(positionals.length === 0
      ? []
      : ['', 'Arguments:', indented(table(positionals.map((each) => [each.name, each.help])))]),
    '',
    'Options:',
    indented(table(Object.entries(options).map(([key, option]) => [written(key, option), option.help]))),
    '',
    `With --json: ${json}`,
    '',
    'Examples:',
    ...examples.map((example) => `  peft-studio ${name} ${example}`.trimEnd()),
    '',
    EXIT_CODES,
  ].join('\n');
}

function usage({ name, positionals, options }: Command): string {
  const required = Object.entries(options).filter(([, option]) => option.required);
  return [
    `peft-studio ${name}`,
    ...positionals.map((each) => (each.multiple ? `${each.name}…` : each.name)),
    ...required.map(([key, option]) => written(key, option)),
    '[OPTIONS]',
  ].join(' ');
}

function written(name: string, { value, multiple }: Option): string {
  return [`--${name}`, ...(value === undefined ? [] : [value]), ...(multiple ? ['…'] : [])].join(' ');
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ');
}
