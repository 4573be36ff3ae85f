import * as l10n from '@vscode/l10n';
import type { Problem } from '../../common/problem.js';
import { shellWord } from '../../common/shellWord.js';

/** The command that writes a mended copy of an adapter; to a folder that the user chooses. */
export function repairCommand(folder: string): string {
  return ['peft-studio', 'repair', shellWord(folder), '--out', 'DIR'].join(' ');
}

/** A problem that the adapter's files alone say how to mend, with the command that does. */
export function withRepair(problem: Problem, folder: string): Problem {
  const mend = l10n.t`It can be repaired: ${repairCommand(folder)} writes a mended copy (without --out it says what it would change).`;
  return { ...problem, mend: problem.mend === undefined ? mend : `${problem.mend} ${mend}`, repairable: folder };
}
