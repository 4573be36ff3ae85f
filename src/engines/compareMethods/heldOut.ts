import * as l10n from '@vscode/l10n';
import type { Problem } from '../../common/problem.js';

/** Runs without held-out rows cannot be told apart by what they learned. */
export function noHeldOut(file: string): Problem {
  return {
    code: 'data.no-held-out',
    message: l10n.t`no rows are held out, so that runs cannot be measured`,
    where: { file },
    mend: l10n.t`Give data.validation, or data.validation_split.`,
  };
}
