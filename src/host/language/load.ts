import { pathToFileURL } from 'node:url';
import * as vscode from 'vscode';
import type { Language } from '../../language/language.js';

/** Run files, whether YAML or JSON. */
export const RUN_FILES: vscode.DocumentSelector = [{ language: 'peft-run' }, { language: 'peft-run-json' }];

/** Gives what knows run files; loads it when it is asked for the first time, so that activation stays short. */
export type LoadLanguage = () => Promise<Language>;

/** The loader of the bundle `dist/language.cjs`. */
export function languageLoader(extensionUri: vscode.Uri): LoadLanguage {
  const bundle = pathToFileURL(vscode.Uri.joinPath(extensionUri, 'dist', 'language.cjs').fsPath).href;
  let loading: Promise<Language> | undefined;
  return () => {
    loading ??= (import(bundle) as Promise<typeof import('../../language/language.js')>).then(
      ({ createLanguage }) => createLanguage(),
    );
    return loading;
  };
}

/** Whether what knows run files can read a document: it lies on this machine's disk, or is not saved yet. */
export function isRunDocument(document: vscode.TextDocument): boolean {
  return vscode.languages.match(RUN_FILES, document) > 0;
}
