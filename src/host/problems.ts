import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { Problem } from '../common/problem.js';
import { runName } from '../config/runName.js';
import { runFolderOf, wasStoppedEarly } from '../engines/runState.js';
import type { RunState } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';
import { rangeOf, reveal, showPlace } from './places.js';
import type { Runs } from './runs.js';
import { sentences } from '../common/sentences.js';
import type { Settle } from './settle.js';

/**
 * Shows failed runs and warnings: a message with buttons, and an entry in the Problems view where a file is named.
 * An entry stays until the next run, or until its file changes.
 */
export function createProblems(runs: Runs, settle: Settle): vscode.Disposable {
  const collection = vscode.languages.createDiagnosticCollection('peftStudio');
  const following = runs.onDidChange(({ state, event, fresh }) => {
    if (fresh) collection.clear();
    if (event?.type === 'coverage') event.warnings.forEach((warning) => mark(collection, warning, 'warning'));
    if (event) return;
    if (state.kind === 'failed') {
      for (const problem of [state.problem, ...state.others])
        mark(collection, problem, problem.severity ?? 'error');
      settle(wasStoppedEarly(state) ? tellStoppedEarly(state) : tellFailed(state, resumable(runs.events())));
    }
    if (state.kind === 'finished') settle(tellFinished(state));
  });
  return vscode.Disposable.from(
    following,
    collection,
    vscode.languages.onDidChangeDiagnostics(({ uris }) => uris.forEach((uri) => dropDoubles(collection, uri))),
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (contentChanges.length > 0) collection.delete(document.uri);
    }),
    vscode.workspace.onDidSaveTextDocument(({ uri }) => collection.delete(uri)),
  );
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
  // The run file itself may be open, and say so already.
  if (vscode.languages.getDiagnostics(uri).some((other) => isSame(diagnostic, other))) return;
  collection.set(uri, [...(collection.get(uri) ?? []), diagnostic]);
}

/** What is told of a run file while it is typed, and by the run that it failed, is told once. */
function dropDoubles(collection: vscode.DiagnosticCollection, uri: vscode.Uri): void {
  const own = collection.get(uri) ?? [];
  if (own.length === 0) return;
  const all = vscode.languages.getDiagnostics(uri);
  const single = own.filter((mark) => all.filter((other) => isSame(mark, other)).length < 2);
  if (single.length < own.length) collection.set(uri, single);
}

function isSame(one: vscode.Diagnostic, other: vscode.Diagnostic): boolean {
  return one.code === other.code && one.source === other.source && one.range.start.line === other.range.start.line;
}

/** The folder of a run that left a checkpoint. */
function resumable(events: readonly RunEvent[]): string | undefined {
  return events.some(({ type }) => type === 'checkpoint') ? runFolderOf(events) : undefined;
}

async function tellFailed(
  { file, problem, others }: Extract<RunState, { kind: 'failed' }>,
  resumes: string | undefined,
): Promise<void> {
  const { where } = problem;
  const place =
    where && `${vscode.workspace.asRelativePath(where.file)}${where.line === undefined ? '' : `:${where.line}`}`;
  // A message that says what to do need not list what was possible: the Problems view and the panel do.
  const short = problem.mend === undefined ? problem : { ...problem, expected: undefined };
  const more = others.length > 0 ? ` ${l10n.t`(And ${others.length} more: see Problems.)`}` : '';
  const [name, said] = [runName(file), `${sentences(short)}${more}`];
  const [resume, openFile, showLog] = [l10n.t`Resume`, l10n.t`Open File`, l10n.t`Show Log`];
  const chosen = await vscode.window.showErrorMessage(
    place === undefined ? l10n.t`${name} failed: ${said}` : l10n.t`${name} failed (${place}): ${said}`,
    ...(resumes === undefined ? [] : [resume]),
    ...(where ? [openFile] : []),
    showLog,
  );
  if (chosen === resume && resumes !== undefined) {
    await vscode.commands.executeCommand('peftStudio.resume', vscode.Uri.file(resumes));
  }
  if (chosen === openFile && where) await showPlace(where);
  if (chosen === showLog) await vscode.commands.executeCommand('peftStudio.showLog');
}

async function tellStoppedEarly({ file, problem }: Extract<RunState, { kind: 'failed' }>): Promise<void> {
  await vscode.window.showInformationMessage(l10n.t`${runName(file)}: ${sentences(problem)}`);
}

async function tellFinished({ file, result, note }: Extract<RunState, { kind: 'finished' }>): Promise<void> {
  const [name, place] = [runName(file), vscode.workspace.asRelativePath(result.adapter)];
  const told =
    result.reason === 'stopped'
      ? l10n.t`${name} stopped: adapter in ${place}.`
      : l10n.t`${name} finished: adapter in ${place}.`;
  const show = note === undefined ? vscode.window.showInformationMessage : vscode.window.showWarningMessage;
  const [revealAdapter, openPanel] = [l10n.t`Reveal Adapter`, l10n.t`Open Panel`];
  const chosen = await show(note === undefined ? told : `${told} ${note}`, revealAdapter, openPanel);
  if (chosen === revealAdapter) await reveal(result.adapter);
  if (chosen === openPanel) await vscode.commands.executeCommand('peftStudio.openPanel');
}
