import * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import { runName } from '../config/runName.js';
import type { DataPreview } from '../engines/dataPreview.js';
import type { Jobs } from './job.js';
import { pageHtml, pageOptions } from './pageHtml.js';
import { showPlace } from './places.js';
import type { FromPreview, ToPreview } from './previewProtocol.js';
import { sentences } from './sentences.js';
import type { Settle } from './settle.js';

/** The page that shows the data of a run file: one per window. */
export interface PreviewPanel {
  /** Shows the data of a run file; reads them again whenever it, or one of its data files, is saved. */
  open(file: string): void;
  dispose(): void;
}

/** Makes the window's preview; nothing is shown yet. */
export function createPreviewPanel(
  extensionUri: vscode.Uri,
  jobs: Jobs,
  output: vscode.LogOutputChannel,
  settle: Settle,
): PreviewPanel {
  let view: vscode.WebviewPanel | undefined;
  let file = '';
  let ready = false;
  let latest: ToPreview = { type: 'reading', file };
  let reading: AbortController | undefined;
  let dataFiles: readonly string[] = [];

  function tell(message: ToPreview): void {
    latest = message;
    if (view && ready) settle(view.webview.postMessage(message));
  }

  async function read(): Promise<void> {
    reading?.abort();
    const own = new AbortController();
    reading = own;
    tell({ type: 'reading', file });
    const name = runName(file);
    const document = await jobs.run({
      title: `Reading the data of ${name}`,
      args: ['preview', file],
      signal: own.signal,
      onFailure: ({ where, ...problem }) => {
        const place = where ? `${[where.file, where.line].filter((part) => part !== undefined).join(':')}: ` : '';
        if (reading === own) tell({ type: 'failed', message: place + sentences(problem) });
      },
    });
    if (reading !== own) return;
    if (isDataPreview(document)) {
      dataFiles = document.splits.flatMap(({ report }) => report.files);
      tell({ type: 'preview', preview: document });
    } else if (latest.type === 'reading') tell({ type: 'failed', message: 'Cancelled.' });
  }

  function take(message: FromPreview): void {
    switch (message.type) {
      case 'ready':
        ready = true;
        tell(latest);
        break;
      case 'again':
        settle(read());
        break;
      case 'drawn':
        output.debug(`The preview has drawn; it lists ${message.samples} samples.`);
        break;
      case 'openPlace':
        settle(showPlace(message.place));
        break;
      case 'pageError':
        output.error(`The preview's page: ${message.message}`);
        break;
    }
  }

  function create(): vscode.WebviewPanel {
    const column = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: false };
    const made = vscode.window.createWebviewPanel('peftStudio.preview', 'Data', column, pageOptions(extensionUri));
    made.webview.onDidReceiveMessage(take);
    made.onDidChangeViewState(() => {
      // A hidden page is thrown away by the editor; shown again, it starts anew and says ready.
      if (!made.visible) ready = false;
    });
    made.onDidDispose(() => {
      reading?.abort();
      reading = undefined;
      view = undefined;
      ready = false;
    });
    made.webview.html = pageHtml(made.webview, extensionUri, 'preview');
    return made;
  }

  const saving = vscode.workspace.onDidSaveTextDocument(({ uri }) => {
    if (view && (uri.fsPath === file || dataFiles.includes(uri.fsPath))) settle(read());
  });

  return {
    open(target) {
      file = target;
      dataFiles = [];
      view ??= create();
      view.title = `Data: ${runName(file)}`;
      view.reveal();
      settle(read());
    },
    dispose() {
      saving.dispose();
      view?.dispose();
    },
  };
}

/** The command line is our own program: its splits are enough to know the document. */
function isDataPreview(value: unknown): value is DataPreview {
  return isJsonObject(value) && Array.isArray(value['splits']);
}
