import * as vscode from 'vscode';
import type { Problem } from '../../common/problem.js';
import { HINT } from '../../config/advice.js';
import { rangeOf } from '../places.js';
import { sentences } from '../../common/sentences.js';
import { openText } from './documents.js';
import { isRunDocument } from './load.js';
import type { LoadLanguage } from './load.js';

/** A pause in typing, after which the text is checked; and a longer one, after which the disk is. */
const TEXT_DELAY_MS = 30;
const DISK_DELAY_MS = 250;

/** Problems of the open run files, kept up to date while they are typed. */
export interface Diagnostics extends vscode.Disposable {
  /** The problem that a diagnostic shows, if it is one of ours and was found in the text as it is now. */
  problemOf(document: vscode.TextDocument, diagnostic: vscode.Diagnostic): Problem | undefined;
}

/** What is told of a document. */
interface Told {
  readonly problems: readonly Problem[];
  readonly diagnostics: readonly vscode.Diagnostic[];
  /** The version of the text that was checked. */
  readonly version: number;
  readonly fromDisk: Later;
  readonly ofMemory: Later;
}

/** Those among the problems that are found later than the text is read, and the version of the text that they are about. */
interface Later {
  readonly problems: readonly Problem[];
  readonly version: number;
}

/** Checks run files when they are opened, typed in or saved, and when files that they may name change. */
export function createDiagnostics(load: LoadLanguage, report: (error: unknown) => void): Diagnostics {
  const collection = vscode.languages.createDiagnosticCollection('peftStudio.runFiles');
  const told = new Map<string, Told>();
  const pending = new Map<string, { timer: NodeJS.Timeout; abort: AbortController }>();

  function later(document: vscode.TextDocument, delay: number): void {
    if (!isRunDocument(document) || document.isClosed) return;
    forget(document);
    const abort = new AbortController();
    const timer = setTimeout(() => void check(document, abort.signal).catch(report), delay);
    pending.set(document.uri.toString(), { timer, abort });
  }

  function forget(document: vscode.TextDocument): void {
    const waiting = pending.get(document.uri.toString());
    clearTimeout(waiting?.timer);
    waiting?.abort.abort();
    pending.delete(document.uri.toString());
  }

  async function check(document: vscode.TextDocument, signal: AbortSignal): Promise<void> {
    const language = await load();
    if (signal.aborted) return;
    const open = openText(document);
    const { version } = document;
    const fast = [...language.checkText(open), ...language.hints(open)];
    // What was said of the version before stays until the new answer is there, lest marks flicker.
    const before = told.get(document.uri.toString());
    const none: Later = { problems: [], version };
    let fromDisk = before?.fromDisk ?? none;
    let ofMemory = before?.ofMemory ?? none;
    const tell = (): void => show(document, version, fast, fromDisk, ofMemory);
    tell();
    await wait(DISK_DELAY_MS, signal);
    try {
      if (signal.aborted) return;
      const problems = await language.checkPlaces(open, signal);
      if (signal.aborted) return;
      fromDisk = { problems, version };
      tell();
      // Plans take longest.
      const warning = (await language.memory(open, signal))?.warning;
      if (signal.aborted) return;
      ofMemory = { problems: warning === undefined ? [] : [warning], version };
      tell();
    } catch (error) {
      if (signal.aborted) return;
      // What was said of an older text may no longer hold.
      if (fromDisk.version !== version) fromDisk = none;
      ofMemory = none;
      tell();
      throw error;
    }
  }

  function show(
    document: vscode.TextDocument,
    version: number,
    fast: readonly Problem[],
    fromDisk: Later,
    ofMemory: Later,
  ): void {
    if (document.isClosed) return;
    const problems = [...fast, ...fromDisk.problems, ...ofMemory.problems].filter(
      ({ where }) => where?.file === document.uri.fsPath,
    );
    const diagnostics = problems.map(toDiagnostic);
    told.set(document.uri.toString(), { problems, diagnostics, version, fromDisk, ofMemory });
    collection.set(document.uri, diagnostics);
  }

  function close(document: vscode.TextDocument): void {
    forget(document);
    told.delete(document.uri.toString());
    collection.delete(document.uri);
  }

  const all = (): void => vscode.workspace.textDocuments.forEach((document) => later(document, TEXT_DELAY_MS));
  const subscriptions = vscode.Disposable.from(
    collection,
    vscode.workspace.onDidOpenTextDocument((document) => later(document, 0)),
    vscode.workspace.onDidChangeTextDocument(({ document }) => later(document, TEXT_DELAY_MS)),
    vscode.workspace.onDidCloseTextDocument(close),
    // A model or a data file may have come, gone or changed.
    vscode.workspace.onDidSaveTextDocument(all),
    vscode.window.onDidChangeWindowState(({ focused }) => focused && all()),
    vscode.workspace.onDidChangeConfiguration(
      (change) => change.affectsConfiguration('peftStudio.memoryLimit') && all(),
    ),
  );
  all();
  return {
    problemOf(document, diagnostic) {
      const known = told.get(document.uri.toString());
      if (known === undefined) return undefined;
      // The editor hands out copies.
      const at = known.diagnostics.findIndex(
        ({ code, message, range }) =>
          code === diagnostic.code && message === diagnostic.message && range.isEqual(diagnostic.range),
      );
      const problem = known.problems[at];
      if (problem === undefined) return undefined;
      // In a newer text its place may be that of something else, which a fix would overwrite.
      const { version } =
        [known.fromDisk, known.ofMemory].find(({ problems }) => problems.includes(problem)) ?? known;
      return version === document.version ? problem : undefined;
    },
    dispose() {
      vscode.workspace.textDocuments.forEach(forget);
      subscriptions.dispose();
    },
  };
}

function toDiagnostic(problem: Problem): vscode.Diagnostic {
  const { code, severity, where } = problem;
  const diagnostic = new vscode.Diagnostic(rangeOf(where!), sentences(problem), severityOf(code, severity));
  diagnostic.source = 'PEFT Studio';
  diagnostic.code = code;
  if (code === 'config.ignored-key') diagnostic.tags = [vscode.DiagnosticTag.Unnecessary];
  return diagnostic;
}

function severityOf(code: string, severity: Problem['severity']): vscode.DiagnosticSeverity {
  if (code.startsWith(HINT)) return vscode.DiagnosticSeverity.Information;
  return severity === 'warning' ? vscode.DiagnosticSeverity.Warning : vscode.DiagnosticSeverity.Error;
}

function wait(delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delay);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
