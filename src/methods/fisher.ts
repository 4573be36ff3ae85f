import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Values } from './method.js';

/**
 * Fisher information (sums of squared gradients) in the order of `names`, and how many of its numbers are exactly zero.
 *
 * @throws ProblemError `method.fisher` where it is not finite
 */
export function checkedFisher(
  names: readonly string[],
  squares: Values,
): { readonly parts: readonly Float32Array[]; readonly total: number; readonly zeros: number } {
  let zeros = 0;
  let total = 0;
  const parts = names.map((name) => {
    const part = squares.get(name)!;
    total += part.length;
    for (const value of part) {
      if (!Number.isFinite(value)) {
        fail({
          code: 'method.fisher',
          message: l10n.t`the squared gradients of ${name} are not finite`,
          mend: l10n.t`Look for rows that give an infinite loss, or for weights that are not finite.`,
        });
      }
      if (value === 0) zeros++;
    }
    return part;
  });
  return { parts, total, zeros };
}
