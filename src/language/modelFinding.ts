import { boundedProblem, isError } from '../common/problem.js';
import type { Place, Problem } from '../common/problem.js';
import { asValue } from '../config/asValue.js';
import type { ConfigPath } from '../config/tree.js';
import type { RunDocument } from './runDocument.js';

/** A problem, and the key or value of the run file that it is about. */
export interface Finding {
  readonly problem: Problem;
  readonly path: ConfigPath;
  readonly part?: 'key' | 'value';
}

/**
 * Findings as problems at their places. What the run file's own check says of the same place, and at least as
 * strongly, is not said again.
 */
export function placed({ parsed, file }: RunDocument, findings: readonly Finding[]): Problem[] {
  return findings
    .map(({ problem, path, part }) => {
      const { replacement } = problem;
      return boundedProblem({
        ...problem,
        where: parsed.placeOf(path, part),
        ...(replacement === undefined ? {} : { replacement: asWritten(replacement, file) }),
      });
    })
    .filter((problem) => {
      const said = parsed.problems.some(
        (other) =>
          other.where !== undefined &&
          samePlace(other.where, problem.where) &&
          (isError(other) || !isError(problem)),
      );
      return !said;
    });
}

function samePlace(a: Place, b: Place | undefined): boolean {
  return b !== undefined && a.line === b.line && a.column === b.column;
}

/** A name in the quotes that the file needs; lists and numbers are the same in YAML and JSON. */
function asWritten(replacement: string, file: string): string {
  return /^(?:\[.*\]|\d+)$/.test(replacement) ? replacement : asValue(replacement, file);
}
