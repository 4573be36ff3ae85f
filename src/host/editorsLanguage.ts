import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { LANGUAGE_VARIABLE } from '../common/language.js';

/**
 * Texts are in the editor's language from now on, here and in what this process starts: the bundle of run files, threads,
 * workers, jobs. VS Code has read the translations before it activates the extension; in English there are none.
 */
export function useEditorsLanguage(): void {
  const { bundle, uri } = vscode.l10n;
  l10n.config({ contents: bundle ?? {} });
  if (uri === undefined) delete process.env[LANGUAGE_VARIABLE];
  else process.env[LANGUAGE_VARIABLE] = uri.fsPath;
}
