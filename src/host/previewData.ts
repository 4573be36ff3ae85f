import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { Jobs } from './job.js';
import { createPreviewPanel } from './previewPanel.js';
import type { Settle } from './settle.js';
import { targetRunFile } from './targetRunFile.js';

/** Registers Preview Data and its page. */
export function registerPreviewData(
  extensionUri: vscode.Uri,
  jobs: Jobs,
  output: vscode.LogOutputChannel,
  settle: Settle,
): vscode.Disposable {
  const panel = createPreviewPanel(extensionUri, jobs, output, settle);
  return vscode.Disposable.from(
    panel,
    vscode.commands.registerCommand('peftStudio.previewData', async (target?: unknown) => {
      const file = await targetRunFile(target, l10n.t`Preview the data of which run file?`);
      if (file !== undefined) panel.open(file);
    }),
  );
}
