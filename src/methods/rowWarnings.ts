import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';

/**
 * Says that the data hold fewer rows than a mask was to be taken from.
 * @param rows that it was taken from; undefined where that is not known
 */
export function rowWarnings(asked: number, rows: number | undefined): Problem[] {
  if (rows === undefined || rows >= asked) return [];
  return [
    {
      code: 'sparse-delta.rows',
      severity: 'warning',
      message: l10n.t`the mask was taken from ${rows} rows, all that there are, instead of ${asked} (num_samples)`,
      mend: l10n.t`Nothing to do, unless more data are at hand.`,
    },
  ];
}
