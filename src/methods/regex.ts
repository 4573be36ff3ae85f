import { fail } from '../common/problem.js';
import { TimeUp, withinTime } from '../common/watchdog.js';

/**
 * For one expression on all of a model's module paths. A sane one takes less than a millisecond; one that
 * backtracks without end (`(a+)+$`) would take longer than anyone waits.
 */
const MAX_MILLISECONDS = 500;

/**
 * Runs a user's regular expression on texts, in bounded time.
 *
 * @param pattern as the user wrote it
 * @param wrap makes of it the expression that is run: anchors, prefixes
 * @returns one match, or null, for each text
 * @throws ProblemError `targets.regex`: not an expression; `targets.regex-time`: it does not end
 */
export function execAll(
  pattern: string,
  wrap: (pattern: string) => string,
  texts: readonly string[],
): (RegExpExecArray | null)[] {
  // Compiled by itself first: `a)|(b` is none, though anchors around it would make it one.
  compile(pattern, pattern);
  const expression = compile(wrap(pattern), pattern);
  try {
    return withinTime(MAX_MILLISECONDS, () => texts.map((text) => expression.exec(text)));
  } catch (error) {
    if (!(error instanceof TimeUp)) throw error;
    return fail(
      {
        code: 'targets.regex-time',
        message: `the regular expression '${pattern}' did not end within ${MAX_MILLISECONDS} ms on the model's module paths`,
        expected: 'an expression without nested repetitions such as (a+)+',
        mend: 'Write it simpler, or list the names of the modules.',
      },
      error,
    );
  }
}

function compile(source: string, shown: string): RegExp {
  try {
    return new RegExp(source, 's');
  } catch (error) {
    return fail(
      {
        code: 'targets.regex',
        message: `'${shown}' is not a regular expression: ${(error as Error).message}`,
        expected: 'a regular expression, or a list of module names',
      },
      error,
    );
  }
}
