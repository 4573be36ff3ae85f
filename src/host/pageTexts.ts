import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import type { PageName } from './pageHtml.js';

/**
 * The translations of a page's texts, as JSON that can stand in a document: what the editor's language has of the list
 * that the build wrote beside the page.
 */
export function pageTexts(extensionUri: vscode.Uri, name: PageName): string {
  const { bundle } = vscode.l10n;
  if (bundle === undefined) return '{}';
  const list = path.join(extensionUri.fsPath, 'dist', 'webview', `${name}.texts.json`);
  const texts = JSON.parse(readFileSync(list, 'utf8')) as readonly string[];
  const translated = texts.flatMap((text) => (bundle[text] === undefined ? [] : [[text, bundle[text]]]));
  return JSON.stringify(Object.fromEntries(translated)).replaceAll('<', '\\u003c');
}
