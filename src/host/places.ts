import * as vscode from 'vscode';
import type { Place } from '../common/problem.js';

/** Files that the editor cannot show as text. */
const BINARY = /\.(safetensors|gguf|bin|pt|pth|onnx|npz?)$/i;

/**
 * Shows a place: a text at its line, a folder or a file of weights where it lies. Rejects when it is gone.
 */
export async function showPlace(place: Place): Promise<void> {
  const uri = vscode.Uri.file(place.file);
  const { type } = await vscode.workspace.fs.stat(uri);
  if ((type & vscode.FileType.Directory) !== 0 || BINARY.test(place.file)) {
    await reveal(place.file);
    return;
  }
  await vscode.window.showTextDocument(uri, { selection: rangeOf(place), viewColumn: vscode.ViewColumn.One });
}

/** Shows a folder or file in the explorer of the workspace, or in the system's when it lies outside. */
export async function reveal(target: string): Promise<void> {
  const uri = vscode.Uri.file(target);
  const inside = vscode.workspace.getWorkspaceFolder(uri) !== undefined;
  await vscode.commands.executeCommand(inside ? 'revealInExplorer' : 'revealFileInOS', uri);
}

/** The editor counts from 0; a place without an end reaches to the end of its line, one without a line is the first. */
export function rangeOf({ line, column, endLine, endColumn }: Place): vscode.Range {
  const startLine = Math.max(0, (line ?? 1) - 1);
  const start = new vscode.Position(startLine, Math.max(0, (column ?? 1) - 1));
  if (endColumn !== undefined) {
    return new vscode.Range(
      start,
      new vscode.Position(Math.max(startLine, (endLine ?? line ?? 1) - 1), endColumn - 1),
    );
  }
  // Past the end of the line: the editor cuts it there.
  return new vscode.Range(start, new vscode.Position(startLine, Number.MAX_SAFE_INTEGER));
}
