import * as vscode from 'vscode';
import type { Place, Problem } from '../common/problem.js';
import { runName } from '../config/runName.js';
import type { Runs } from './runs.js';

/** Shows failed runs and warnings: a message with buttons, and an entry in the Problems view where a file is named. */
export function createProblems(runs: Runs): vscode.Disposable {
  const collection = vscode.languages.createDiagnosticCollection('peftStudio');
  const following = runs.onDidChange(({ state, event, fresh }) => {
    if (fresh) collection.clear();
    if (event?.type === 'coverage') event.warnings.forEach((warning) => mark(collection, warning, 'warning'));
    if (event) return;
    if (state.kind === 'failed') {
      for (const problem of [state.problem, ...state.others])
        mark(collection, problem, problem.severity ?? 'error');
      void tellFailed(state.file, state.problem, state.others.length);
    }
    if (state.kind === 'finished')
      void tellFinished(state.file, state.result.adapter, state.result.reason, state.note);
  });
  return vscode.Disposable.from(following, collection);
}

/** Opens a file at a place; without a line, at its beginning. */
export async function openPlace(place: Place): Promise<void> {
  await vscode.window.showTextDocument(vscode.Uri.file(place.file), {
    selection: rangeOf(place),
    viewColumn: vscode.ViewColumn.One,
  });
}

function mark(collection: vscode.DiagnosticCollection, problem: Problem, severity: 'error' | 'warning'): void {
  if (!problem.where) return;
  const uri = vscode.Uri.file(problem.where.file);
  const diagnostic = new vscode.Diagnostic(
    rangeOf(problem.where),
    sentences(problem),
    severity === 'error' ? vscode.DiagnosticSeverity.Error : vscode.DiagnosticSeverity.Warning,
  );
  diagnostic.source = 'PEFT Studio';
  diagnostic.code = problem.code;
  collection.set(uri, [...(collection.get(uri) ?? []), diagnostic]);
}

/** The editor counts from 0; a place without an end reaches to the end of its word or line. */
function rangeOf({ line, column, endLine, endColumn }: Place): vscode.Range {
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

function sentences({ message, expected, mend }: Problem): string {
  return [`${message}.`, expected === undefined ? '' : `Expected: ${expected}.`, mend ?? '']
    .filter((part) => part !== '')
    .join(' ');
}

async function tellFailed(file: string, problem: Problem, others: number): Promise<void> {
  const { where } = problem;
  const place = where
    ? ` (${vscode.workspace.asRelativePath(where.file)}${where.line === undefined ? '' : `:${where.line}`})`
    : '';
  const chosen = await vscode.window.showErrorMessage(
    `${runName(file)} failed${place}: ${sentences(problem)}${others > 0 ? ` (And ${others} more: see Problems.)` : ''}`,
    ...(where ? ['Open File'] : []),
    'Show Log',
  );
  if (chosen === 'Open File' && where) await openPlace(where);
  if (chosen === 'Show Log') await vscode.commands.executeCommand('peftStudio.showLog');
}

async function tellFinished(
  file: string,
  adapter: string,
  reason: 'completed' | 'stopped',
  note: string | undefined,
): Promise<void> {
  const text =
    `${runName(file)} ${reason === 'completed' ? 'finished' : 'stopped'}: adapter in ` +
    `${vscode.workspace.asRelativePath(adapter)}.${note === undefined ? '' : ` ${note}`}`;
  const show = note === undefined ? vscode.window.showInformationMessage : vscode.window.showWarningMessage;
  const chosen = await show(text, 'Reveal Adapter', 'Open Panel');
  if (chosen === 'Reveal Adapter') await revealFolder(adapter);
  if (chosen === 'Open Panel') await vscode.commands.executeCommand('peftStudio.openPanel');
}

/** Shows a folder in the explorer of the workspace, or in the system's when it lies outside. */
export async function revealFolder(folder: string): Promise<void> {
  const uri = vscode.Uri.file(folder);
  const inside = vscode.workspace.getWorkspaceFolder(uri) !== undefined;
  await vscode.commands.executeCommand(inside ? 'revealInExplorer' : 'revealFileInOS', uri);
}
