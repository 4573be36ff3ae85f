import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';

/**
 * @param kind what was named, such as `method`
 * @param see the command that lists the names
 * @param meant the name that is known for it elsewhere, if there is one
 * @throws ProblemError `cli.unknown-<kind>` with the nearest name
 */
export function unknownName(
  kind: string,
  name: string,
  names: readonly string[],
  see: string,
  meant?: string,
): never {
  const near = meant ?? nearestName(name, names);
  return fail({
    code: `cli.unknown-${kind}`,
    message: `there is no ${kind} "${name}"`,
    expected: `one of ${names.join(', ')}`,
    mend: near === undefined ? `See ${see}.` : `Did you mean "${near}"?`,
  });
}
