import * as l10n from '@vscode/l10n';
import { fail, messageOf } from '../common/problem.js';
import { TimeUp, withinTime } from '../common/watchdog.js';

/**
 * For one expression on all of a model's module paths. A sane one takes less than a millisecond; one that
 * backtracks without end (`(a+)+$`) would take longer than anyone waits.
 */
const MAX_MILLISECONDS = 500;

/** Enough of an expression to find it by. */
const SHOWN_CHARACTERS = 200;

/** Calls that end at once are not counted: a sane pattern may be asked as often as there is need. */
const FREE_MILLISECONDS = 20;

/** What is left of the time that expressions may take together, in milliseconds. */
export interface RegexTime {
  left: number;
}

/** Time for expressions that are asked again and again. */
export function regexTime(): RegexTime {
  return { left: MAX_MILLISECONDS };
}

/**
 * Runs a user's regular expression on texts, in bounded time.
 *
 * @param pattern as the user wrote it
 * @param wrap makes of it the expression that is run: anchors, prefixes
 * @param time shared with other calls; default: as much as one expression may take
 * @returns one match, or null, for each text
 * @throws ProblemError `targets.regex`: not an expression; `targets.regex-time`: it does not end
 */
export function execAll(
  pattern: string,
  wrap: (pattern: string) => string,
  texts: readonly string[],
  time = regexTime(),
): (RegExpExecArray | null)[] {
  const expression = compileWrapped(pattern, wrap);
  return bounded(time, `'${pattern}'`, () => texts.map((text) => expression.exec(text)));
}

/**
 * Finds the first of a user's regular expressions that matches a text; undefined where none does. They are compiled
 * once, for all texts.
 *
 * @param time what they may take, in all calls together
 * @throws ProblemError as {@link execAll}, here and from what it returns
 */
export function firstMatcher(
  patterns: readonly string[],
  wrap: (pattern: string) => string,
  time = regexTime(),
): (text: string) => string | undefined {
  const expressions = patterns.map((pattern) => compileWrapped(pattern, wrap));
  const shown = l10n.t`one of '${patterns.join("', '").slice(0, SHOWN_CHARACTERS)}'`;
  return (text) => bounded(time, shown, () => patterns.find((_, at) => expressions[at]!.test(text)));
}

function bounded<T>(time: RegexTime, shown: string, work: () => T): T {
  const start = performance.now();
  try {
    return withinTime(Math.max(1, Math.ceil(time.left)), work);
  } catch (error) {
    // What is only compiled when it first runs can turn out too large then.
    if (error instanceof SyntaxError || error instanceof RangeError) return noExpression(shown, error);
    if (!(error instanceof TimeUp)) throw error;
    return fail(
      {
        code: 'targets.regex-time',
        message: l10n.t`the regular expression ${shown} did not end within ${MAX_MILLISECONDS} ms on the model's module paths`,
        expected: l10n.t`an expression without nested repetitions such as (a+)+`,
        mend: l10n.t`Write it simpler, or list the names of the modules.`,
      },
      error,
    );
  } finally {
    const taken = performance.now() - start;
    if (taken > FREE_MILLISECONDS) time.left -= taken;
  }
}

function compileWrapped(pattern: string, wrap: (pattern: string) => string): RegExp {
  // Compiled by itself first: `a)|(b` is none, though anchors around it would make it one.
  compile(pattern, pattern);
  return compile(wrap(pattern), pattern);
}

function compile(source: string, shown: string): RegExp {
  try {
    return new RegExp(source, 's');
  } catch (error) {
    return noExpression(`'${shown}'`, error);
  }
}

function noExpression(shown: string, error: unknown): never {
  return fail(
    {
      code: 'targets.regex',
      message: l10n.t`${ends(shown)} is not a regular expression: ${ends(messageOf(error))}`,
      expected: l10n.t`a regular expression, or a list of module names`,
    },
    error,
  );
}

/** Beginning and end of a long text: an engine's message quotes the whole expression before it says what is wrong. */
function ends(text: string): string {
  return text.length <= 300 ? text : `${text.slice(0, 150)} … ${text.slice(-100)}`;
}
