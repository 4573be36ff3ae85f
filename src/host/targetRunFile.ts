import * as vscode from 'vscode';
import { RUN_FILE, activeRunFile, pickRunFile } from './runFiles.js';
import { savedFile } from './savedFile.js';
import { isTrusted } from './trust.js';

/**
 * The run file that a command is about: the one it was called on, else the one in front, else the only one to be seen (a
 * preview may be in front), else one that is picked. What is not saved yet is saved, since commands read from disk.
 * Undefined where there is none, or the workspace is not trusted: that was told.
 */
export async function targetRunFile(target: unknown, question: string): Promise<string | undefined> {
  if (!isTrusted()) return undefined;
  const named = target instanceof vscode.Uri ? target : undefined;
  const uri = named ?? activeRunFile() ?? onlyVisible() ?? (await pickRunFile(question));
  return uri && savedFile(uri);
}

function onlyVisible(): vscode.Uri | undefined {
  const [first, ...others] = vscode.window.visibleTextEditors.filter(({ document }) =>
    RUN_FILE.test(document.uri.path),
  );
  return others.length === 0 ? first?.document.uri : undefined;
}
