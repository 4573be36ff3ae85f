import * as l10n from '@vscode/l10n';
import { messageOf } from './problem.js';

/**
 * The variable that tells our processes, threads and bundles the language of the window that started them: a file of
 * translations (`l10n/bundle.l10n.LANGUAGE.json`), absolute. Without it, texts are English.
 */
export const LANGUAGE_VARIABLE = 'PEFT_STUDIO_L10N';

/**
 * Texts of `l10n.t` are from now on in the language of {@link LANGUAGE_VARIABLE}. Each entry of a bundle calls it before
 * anything else: a bundle has a copy of the library of its own. Without a readable file texts stay English, and the
 * process says why.
 */
export function useLanguage(): void {
  const file = process.env[LANGUAGE_VARIABLE];
  if (file === undefined || file === '') return;
  try {
    l10n.config({ fsPath: file });
  } catch (error) {
    process.stderr.write(`Texts are in English: ${file}: ${messageOf(error)}\n`);
  }
}
