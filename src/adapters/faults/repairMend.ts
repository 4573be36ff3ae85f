import * as l10n from '@vscode/l10n';
import { shellWord } from '../../common/shellWord.js';

/** The command that writes a mended copy of an adapter; to a folder that the user chooses. */
export function repairCommand(folder: string): string {
  return ['peft-studio', 'repair', shellWord(folder), '--out', 'DIR'].join(' ');
}

/** What to do about an adapter's faults that can be mended by the files alone. */
export function repairMend(folder: string): string {
  return l10n.t`It can be repaired: ${repairCommand(folder)} writes a mended copy (without --out it says what it would change).`;
}
