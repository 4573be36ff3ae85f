import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { runName } from '../config/runName.js';

/** Names of run files. */
export const RUN_FILE = /\.peft\.(ya?ml|json)$/i;

/** As many as anybody picks from. */
const MOST = 200;

/** The run files of the workspace, those of past runs left out. */
export async function findRunFiles(): Promise<readonly vscode.Uri[]> {
  const found = await vscode.workspace.findFiles('**/*.peft.{yaml,yml,json}', '**/{node_modules,runs}/**', MOST);
  return [...found].sort((a, b) => a.path.localeCompare(b.path));
}

/** The run file in front: of the active editor, whether text or not. */
export function activeRunFile(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  const uri =
    vscode.window.activeTextEditor?.document.uri ?? (input instanceof vscode.TabInputText ? input.uri : undefined);
  return uri && RUN_FILE.test(uri.path) ? uri : undefined;
}

/** Whether a run file is this window's: in one of its folders, or opened in it alone. */
export function isOfWindow(file: string): boolean {
  const uri = vscode.Uri.file(file);
  if (vscode.workspace.getWorkspaceFolder(uri) !== undefined) return true;
  return vscode.window.tabGroups.all.some(({ tabs }) =>
    tabs.some(({ input }) => input instanceof vscode.TabInputText && input.uri.fsPath === uri.fsPath),
  );
}

/** Asks for one of the workspace's run files; says so when there is none. */
export async function pickRunFile(title: string): Promise<vscode.Uri | undefined> {
  const found = await findRunFiles();
  if (found.length === 0) {
    const newRunFile = l10n.t`New Run File`;
    const chosen = await vscode.window.showErrorMessage(
      l10n.t`PEFT Studio: no run file here. A run file’s name ends in .peft.yaml.`,
      newRunFile,
    );
    if (chosen === newRunFile) await vscode.commands.executeCommand('peftStudio.newRunFile');
    return undefined;
  }
  const items = found.map((uri) => ({
    label: runName(uri.path),
    description: vscode.workspace.asRelativePath(uri),
    uri,
  }));
  return (await vscode.window.showQuickPick(items, { title, matchOnDescription: true }))?.uri;
}
