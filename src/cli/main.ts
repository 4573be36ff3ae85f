import packageJson from '../../package.json' with { type: 'json' };
import { problemOf } from '../common/problem.js';
import { parseArguments } from './arguments.js';
import type { Command } from './command.js';
import { combine } from './combine.js';
import { compose } from './compose.js';
import { compare } from './compare.js';
import { compareAdaptersCommand } from './compareAdapters.js';
import { compareMethodsCommand } from './compareMethods.js';
import { convert } from './convert.js';
import { estimate } from './estimate.js';
import { evaluate } from './evaluate.js';
import { DONE, UNUSABLE_INPUT, exitCodeOf } from './exitCode.js';
import { generate } from './generate.js';
import { commandHelp, programHelp } from './help.js';
import { importCommand } from './import.js';
import { inspect } from './inspect.js';
import { intrinsicDimension } from './intrinsicDimension.js';
import type { Io } from './io.js';
import { masks } from './masks.js';
import { merge } from './merge.js';
import { methods } from './methods.js';
import { newRunFile } from './new.js';
import { preview } from './preview.js';
import { ProblemsError } from './runFile.js';
import { repair } from './repair.js';
import { train } from './train.js';
import { unmerge } from './unmerge.js';
import { unknownName } from './unknownName.js';

/** In the order of a user's work. */
export const COMMANDS: readonly Command[] = [
  newRunFile,
  importCommand,
  preview,
  estimate,
  train,
  evaluate,
  compare,
  compareMethodsCommand,
  generate,
  intrinsicDimension,
  inspect,
  repair,
  compareAdaptersCommand,
  masks,
  merge,
  unmerge,
  combine,
  compose,
  convert,
  methods,
];

/**
 * Runs the command line. Problems are printed, never thrown.
 *
 * @param args behind the program's name
 * @returns the exit code: 0 done, 1 failed, 2 unusable input, 130 interrupted
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    io.note(programHelp(COMMANDS, packageJson.version));
    return UNUSABLE_INPUT;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    io.line(programHelp(COMMANDS, packageJson.version));
    return DONE;
  }
  if (name === '--version') {
    io.line(packageJson.version);
    return DONE;
  }
  io.interrupt.onSignal((count) => {
    if (count === 1) io.note('Stopping… Ctrl-C again ends at once.');
    else io.interrupt.leave();
  });
  const command = COMMANDS.find((each) => each.name === name);
  // Asked of the raw arguments, since a fault in them too is told as JSON.
  const json = rest.includes('--json');
  try {
    if (command === undefined) {
      const names = COMMANDS.map((each) => each.name);
      return unknownName('command', name, names, 'peft-studio --help');
    }
    if (rest.includes('--help') || rest.includes('-h')) {
      io.line(commandHelp(command));
      return DONE;
    }
    return await command.run(parseArguments(command, rest), io);
  } catch (error) {
    const problem = problemOf(error);
    const others = error instanceof ProblemsError && error.others.length > 0 ? { others: error.others } : {};
    io.progress.end();
    for (const each of [problem, ...(others.others ?? [])]) io.problem(each);
    // Where the file system failed, the problem says it all.
    if (error instanceof Error && problem.code === 'internal') io.note(error.stack ?? '');
    if (json) {
      io.json(
        command?.jsonForm === 'events' ? { type: 'failed', problem, ...others } : { error: problem, ...others },
      );
    }
    return exitCodeOf(problem);
  }
}
