import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { formatBytes, formatCount, formatPercent } from '../../common/format.js';
import type { MemoryAnswer } from '../../language/memoryAnswer.js';
import type { TrainableCount } from '../../language/trainable.js';
import { openText, unlessCancelled } from './documents.js';
import { RUN_FILES } from './load.js';
import type { LoadLanguage } from './load.js';

/** Actions above the first line: their titles and commands, each run with the file's address. */
const actions = (): readonly { readonly title: string; readonly command: string }[] => [
  { title: `$(play) ${l10n.t`Train`}`, command: 'peftStudio.train' },
  { title: `$(dashboard) ${l10n.t`Estimate`}`, command: 'peftStudio.estimate' },
  { title: `$(eye) ${l10n.t`Preview data`}`, command: 'peftStudio.previewData' },
  { title: `$(beaker) ${l10n.t`Compare methods`}`, command: 'peftStudio.compareMethods' },
  { title: `$(graph-line) ${l10n.t`Open panel`}`, command: 'peftStudio.openPanel' },
];

/** A pause in typing, after which the lenses are asked for again; they ask the disk. */
const REFRESH_MS = 500;

/** So long the other lenses wait for a plan of memory. */
const LENS_MS = 300;

/** Lenses of run files: the actions on top, and beside the method how much it trains and how much memory that takes. */
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
      const lenses = actions().map(
        ({ title, command }) => new vscode.CodeLens(top, { title, command, arguments: [document.uri] }),
      );
      const more = await Promise.all([
        trainableLens(document, token).catch(report),
        memoryLens(document, token).catch(report),
      ]);
      return [...lenses, ...more.filter((lens) => lens instanceof vscode.CodeLens)];
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
    return estimateLens(document, line, trainableTitle(count));
  }

  /** A plan may take seconds; the lens comes when it is there. */
  async function memoryLens(
    document: vscode.TextDocument,
    token: vscode.CancellationToken,
  ): Promise<vscode.CodeLens | undefined> {
    const language = await load();
    const open = openText(document);
    const line = language.methodLine(open);
    if (line === undefined) return undefined;
    const asked = unlessCancelled(token, (signal) => language.memory(open, signal));
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, LENS_MS, 'late'));
    const answer = await Promise.race([asked, late]);
    // The answer is remembered: when it is there, the lenses are asked for again.
    if (answer === 'late') asked.then(() => changed.fire(), report);
    if (answer === undefined || answer === 'late') return undefined;
    return estimateLens(document, line, memoryTitle(answer));
  }

  return vscode.Disposable.from(
    changed,
    new vscode.Disposable(() => clearTimeout(timer)),
    vscode.workspace.onDidChangeTextDocument(refresh),
    vscode.workspace.onDidSaveTextDocument(refresh),
    vscode.workspace.onDidChangeConfiguration(
      (change) => change.affectsConfiguration('peftStudio.memoryLimit') && refresh(),
    ),
    vscode.languages.registerCodeLensProvider(RUN_FILES, provider),
  );
}

function trainableTitle({ trainable, total, tasks }: TrainableCount): string {
  const [part, all, share] = [formatCount(trainable), formatCount(total), formatPercent(trainable / total)];
  if (tasks === undefined) return l10n.t`${part} of ${all} parameters train (${share})`;
  return tasks === 1
    ? l10n.t`${part} of ${all} parameters train for one task (${share}), and as many for each more that rows name`
    : l10n.t`${part} of ${all} parameters train for the ${tasks} tasks of the first rows (${share})`;
}

/** `1.4 GiB at the peak (1.1 GiB of it anonymous), 9.2 GiB free`. */
function memoryTitle({ need, machine, warning }: MemoryAnswer): string {
  const [peak, anonymous, free] = [need.total, need.anonymous, machine.free].map(formatBytes) as [
    string,
    string,
    string,
  ];
  const sign = warning === undefined ? '' : '$(warning) ';
  return `${sign}${
    machine.bound === 'limit'
      ? l10n.t`${peak} at the peak (${anonymous} of it anonymous), ${free} allowed`
      : l10n.t`${peak} at the peak (${anonymous} of it anonymous), ${free} free`
  }`;
}

/** A lens above a line that opens the file's estimate. */
function estimateLens({ uri }: vscode.TextDocument, line: number, title: string): vscode.CodeLens {
  return new vscode.CodeLens(new vscode.Range(line, 0, line, 0), {
    title,
    command: 'peftStudio.estimate',
    arguments: [uri],
  });
}
