import { pathToFileURL } from 'node:url';
import * as vscode from 'vscode';
import type { Language } from '../../language/language.js';

/** Run files that what knows them can read: on this machine's disk or not saved yet, not an older version in Git. */
const selector = (language: string): vscode.DocumentFilter[] =>
  ['file', 'untitled'].map((scheme) => ({ language, scheme }));

/** Run files in YAML. */
export const YAML_RUN_FILES: vscode.DocumentSelector = selector('peft-run');

/** Run files, whether YAML or JSON. */
export const RUN_FILES: vscode.DocumentSelector = [...selector('peft-run'), ...selector('peft-run-json')];

/** Gives what knows run files; loads it when it is asked for the first time, so that activation stays short. */
export type LoadLanguage = () => Promise<Language>;

/**
 * The loader of the bundle `dist/language.cjs`; plans of memory are made in a thread of their own.
 *
 * @param memoryLimit bytes that a run may take at most, if the user sets it
 */
export function languageLoader(extensionUri: vscode.Uri, memoryLimit: () => number | undefined): LoadLanguage {
  const [bundle, thread] = ['language.cjs', 'memoryThread.cjs'].map(
    (name) => vscode.Uri.joinPath(extensionUri, 'dist', name).fsPath,
  ) as [string, string];
  let loading: Promise<Language> | undefined;
  return () => {
    loading ??= (import(pathToFileURL(bundle).href) as Promise<typeof import('../../language/language.js')>).then(
      ({ createLanguage }) => createLanguage({ memoryThread: thread, memoryLimit }),
    );
    return loading;
  };
}

/** Whether a document is one of {@link RUN_FILES}. */
export function isRunDocument(document: vscode.TextDocument): boolean {
  return vscode.languages.match(RUN_FILES, document) > 0;
}
