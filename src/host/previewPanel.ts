import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import { runName } from '../config/runName.js';
import type { DataPreview } from '../engines/dataPreview.js';
import type { Jobs } from './job.js';
import { openPage } from './page.js';
import type { Page } from './page.js';
import { showPlace } from './places.js';
import type { FromPreview, ToPreview } from './previewProtocol.js';
import { createReader } from './reader.js';
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
  const reader = createReader(jobs);
  let page: Page<ToPreview> | undefined;
  let file = '';
  let dataFiles: readonly string[] = [];

  function read(): Promise<void> {
    page?.show({ type: 'reading', file });
    return reader.read({
      title: l10n.t`Reading the data of ${runName(file)}`,
      args: ['preview', file],
      isDocument: isDataPreview,
      found: (preview) => {
        dataFiles = preview.splits.flatMap(({ report }) => report.files);
        page?.show({ type: 'preview', preview });
      },
      failed: (message) => page?.show({ type: 'failed', message }),
    });
  }

  function take(message: FromPreview): void {
    switch (message.type) {
      case 'again':
        settle(read());
        break;
      case 'drawn':
        output.debug(`The preview has drawn; it lists ${message.samples} samples.`);
        break;
      case 'openPlace':
        settle(showPlace(message.place));
        break;
    }
  }

  const open = (title: string): Page<ToPreview> =>
    openPage<ToPreview, FromPreview>({
      extensionUri,
      name: 'preview',
      title,
      output,
      settle,
      take,
      closed: () => {
        reader.cancel();
        page = undefined;
      },
    });

  const saving = vscode.workspace.onDidSaveTextDocument(({ uri }) => {
    if (page && (uri.fsPath === file || dataFiles.includes(uri.fsPath))) settle(read());
  });

  return {
    open(target) {
      file = target;
      dataFiles = [];
      const title = l10n.t`Data: ${runName(file)}`;
      page ??= open(title);
      page.reveal(title);
      settle(read());
    },
    dispose() {
      saving.dispose();
      page?.dispose();
    },
  };
}

/** The command line is our own program: its splits are enough to know the document. */
function isDataPreview(value: unknown): value is DataPreview {
  return isJsonObject(value) && Array.isArray(value['splits']);
}
