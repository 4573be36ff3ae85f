import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import type { FileToSave } from './protocol.js';

/**
 * Asks where a file that a page made is to be, and writes it there.
 * @param folder where it is offered to be: beside a run's own files
 * @returns the path that it was saved under; nothing where the question was cancelled
 */
export async function saveFile(
  { name, content }: FileToSave,
  folder: string | undefined,
): Promise<{ readonly saved?: string }> {
  // A name of the page never leads elsewhere.
  const plain = path.basename(name);
  const start = folder ?? vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const target = await vscode.window.showSaveDialog({
    title: l10n.t`Save ${plain}`,
    ...(start === undefined ? {} : { defaultUri: vscode.Uri.file(path.join(start, plain)) }),
  });
  if (target === undefined) return {};
  const bytes = 'text' in content ? Buffer.from(content.text, 'utf8') : Buffer.from(content.base64, 'base64');
  await vscode.workspace.fs.writeFile(target, bytes);
  return { saved: target.fsPath };
}
