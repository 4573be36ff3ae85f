import { fail } from '../common/problem.js';
import type { FloatType } from '../models/floatBytes.js';
import type { Arguments } from './arguments.js';

/**
 * What `--dtype` says; undefined where it is not given.
 * @throws ProblemError `cli.option-value`
 */
export function floatType<Type extends FloatType>(args: Arguments, allowed: readonly Type[]): Type | undefined {
  const name = args.text('dtype');
  if (name === undefined) return undefined;
  return (
    allowed.find((dtype) => dtype === name.toUpperCase()) ??
    fail({
      code: 'cli.option-value',
      message: `--dtype is "${name}"`,
      expected: `one of ${allowed.join(', ')}`,
    })
  );
}
