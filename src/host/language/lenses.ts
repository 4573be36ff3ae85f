import * as vscode from 'vscode';
import { formatCount, formatPercent } from '../../common/format.js';
import { openText, unlessCancelled } from './documents.js';
import { RUN_FILES } from './load.js';
import type { LoadLanguage } from './load.js';

/** Actions above the first line: their titles and commands, each run with the file's address. */
const ACTIONS = [
  { title: '$(play) Train', command: 'peftStudio.train' },
  { title: '$(dashboard) Estimate', command: 'peftStudio.estimate' },
  { title: '$(eye) Preview data', command: 'peftStudio.previewData' },
  { title: '$(graph-line) Open panel', command: 'peftStudio.openPanel' },
];

/** A pause in typing, after which the lenses are asked for again; they ask the disk. */
const REFRESH_MS = 500;

/** Lenses of run files: the actions on top, and beside the method how much it trains. */
export function createLenses(load: LoadLanguage, report: (error: unknown) => void): vscode.Disposable {
  const changed = new vscode.EventEmitter<void>();
  let timer: NodeJS.Timeout | undefined;
  const refresh = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => changed.fire(), REFRESH_MS);
  };
  const provider: vscode.CodeLensProvider = {
    onDidChangeCodeLenses: changed.event,
    async provideCodeLenses(document, token) {
      const top = new vscode.Range(0, 0, 0, 0);
      const lenses = ACTIONS.map(
        ({ title, command }) => new vscode.CodeLens(top, { title, command, arguments: [document.uri] }),
      );
      const count = await trainableLens(document, token).catch(report);
      return count ? [...lenses, count] : lenses;
    },
  };

  async function trainableLens(
    document: vscode.TextDocument,
    token: vscode.CancellationToken,
  ): Promise<vscode.CodeLens | undefined> {
    const language = await load();
    const open = openText(document);
    const line = language.methodLine(open);
    if (line === undefined) return undefined;
    const count = await unlessCancelled(token, (signal) => language.trainable(open, signal));
    // Why it cannot be counted is among the problems.
    if (count === undefined || !('trainable' in count)) return undefined;
    const { trainable, total } = count;
    const title = `${formatCount(trainable)} of ${formatCount(total)} parameters train (${formatPercent(trainable / total)})`;
    return new vscode.CodeLens(new vscode.Range(line, 0, line, 0), {
      title,
      command: 'peftStudio.estimate',
      arguments: [document.uri],
    });
  }

  return vscode.Disposable.from(
    changed,
    new vscode.Disposable(() => clearTimeout(timer)),
    vscode.workspace.onDidChangeTextDocument(refresh),
    vscode.workspace.onDidSaveTextDocument(refresh),
    vscode.languages.registerCodeLensProvider(RUN_FILES, provider),
  );
}
