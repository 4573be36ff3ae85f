import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';

/**
 * Whether the workspace is trusted; says what to do where it is not. The manifest disables what needs trust, but lenses,
 * tasks and other extensions run commands all the same.
 */
export function isTrusted(): boolean {
  if (vscode.workspace.isTrusted) return true;
  void vscode.window.showErrorMessage(
    l10n.t`PEFT Studio: trust this workspace first; its run files name what is read, downloaded and written.`,
  );
  return false;
}
