import * as vscode from 'vscode';
import { RUN_FILE, activeRunFile, pickRunFile } from './runFiles.js';

/**
 * The run file that a command is about: the one it was called on, else the one in front, else the only one to be seen (a
 * preview may be in front), else one that is picked. What is not saved yet is saved, since commands read from disk.
 * Undefined where there is none: that was told.
 */
export async function targetRunFile(target: unknown, question: string): Promise<string | undefined> {
  const named = target instanceof vscode.Uri ? target : undefined;
  const uri = named ?? activeRunFile() ?? onlyVisible() ?? (await pickRunFile(question));
  if (uri === undefined) return undefined;
  if (uri.scheme !== 'file') {
    void vscode.window.showErrorMessage(
      `PEFT Studio: ${uri.toString()} is not on this machine’s disk; save it there first.`,
    );
    return undefined;
  }
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  if (open?.isDirty !== true || (await open.save())) return uri.fsPath;
  void vscode.window.showErrorMessage(
    `PEFT Studio: ${open.fileName} could not be saved, and it is read from disk.`,
  );
  return undefined;
}

function onlyVisible(): vscode.Uri | undefined {
  const [first, ...others] = vscode.window.visibleTextEditors.filter(({ document }) =>
    RUN_FILE.test(document.uri.path),
  );
  return others.length === 0 ? first?.document.uri : undefined;
}
