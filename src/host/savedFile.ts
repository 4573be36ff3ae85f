import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';

/**
 * The path of a file that is about to be read from disk; what is not saved yet is saved. Undefined where it cannot be, or
 * lies on no disk of this machine: that was told.
 */
export async function savedFile(uri: vscode.Uri): Promise<string | undefined> {
  if (uri.scheme !== 'file') {
    void vscode.window.showErrorMessage(
      l10n.t`PEFT Studio: ${uri.toString()} is not on this machine’s disk; save it there first.`,
    );
    return undefined;
  }
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  if (open?.isDirty !== true || (await open.save())) return uri.fsPath;
  void vscode.window.showErrorMessage(
    l10n.t`PEFT Studio: ${open.fileName} could not be saved, and it is read from disk. Save it and try again.`,
  );
  return undefined;
}
