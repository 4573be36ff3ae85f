import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import { runName } from '../config/runName.js';
import type { EstimateDocument } from '../engines/estimateDocument.js';
import { estimateMarkdown } from '../engines/estimateText.js';
import type { Jobs } from './job.js';
import { targetRunFile } from './targetRunFile.js';

/** Registers Estimate: what a run trains and needs, as a document beside its file. */
export function registerEstimate(jobs: Jobs): vscode.Disposable {
  return vscode.commands.registerCommand('peftStudio.estimate', async (target?: unknown) => {
    const file = await targetRunFile(target, l10n.t`Estimate which run file?`);
    if (file === undefined) return;
    const name = runName(file);
    const found = await jobs.run({ title: l10n.t`Estimating ${name}`, args: ['estimate', file, '--no-advice'] });
    if (!isEstimate(found)) return;
    const document = await vscode.workspace.openTextDocument({
      language: 'markdown',
      content: estimateMarkdown(name, found),
    });
    // A page in front stands beside the run file already.
    const column = vscode.window.activeTextEditor ? vscode.ViewColumn.Beside : vscode.ViewColumn.Active;
    await vscode.window.showTextDocument(document, { viewColumn: column, preview: true });
  });
}

/** The command line is our own program: a part is enough to know the document. */
function isEstimate(value: unknown): value is EstimateDocument {
  return isJsonObject(value) && typeof value['total'] === 'number' && Array.isArray(value['parts']);
}
