import * as l10n from '@vscode/l10n';
import { readFile } from 'node:fs/promises';
import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { goesThrough, verdictOf } from '../engines/verdict.js';
import type { Language } from '../language/language.js';
import type { OfferedChange } from '../language/memoryAnswer.js';
import type { LoadLanguage } from './language/load.js';
import { savedFile } from './savedFile.js';
import { ended, sentences } from '../common/sentences.js';

/** Changes that are offered as buttons: more make a dialog of buttons. */
const OFFERED = 2;

/**
 * Asks before a run whose predicted memory is more than is free: whether to change the file, to train all the same, or
 * not to. True: train. What cannot be predicted is not asked about.
 */
export async function mayTrain(
  load: LoadLanguage,
  file: string,
  report: (error: unknown) => void,
): Promise<boolean> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) return true;
    const language = await load();
    const answer = await vscode.window
      .withProgress(
        { location: vscode.ProgressLocation.Window, title: l10n.t`Planning the memory of the run` },
        () => language.memory({ file, text }, new AbortController().signal),
      )
      .then(undefined, report);
    if (!answer?.warning || goesThrough(verdictOf(answer.need, answer.machine.free))) return true;
    const offered = answer.savings
      .slice(0, OFFERED)
      .map((change) => ({ title: l10n.t`Apply: ${change.name}`, change: change as OfferedChange | undefined }));
    const chosen = await vscode.window.showWarningMessage(
      l10n.t`${runName(file)} may run out of memory.`,
      { modal: true, detail: detailOf(answer.warning, offered) },
      ...offered,
      { title: l10n.t`Train Anyway`, change: undefined },
    );
    if (chosen === undefined) return false;
    if (chosen.change === undefined) return true;
    if (!(await apply(language, file, chosen.change))) return false;
  }
}

function detailOf(
  warning: Parameters<typeof sentences>[0],
  offered: readonly { readonly change: OfferedChange | undefined }[],
): string {
  const said = sentences({ ...warning, mend: undefined });
  const lines = offered.flatMap(({ change }) => (change === undefined ? [] : [`• ${ended(change.title)}`]));
  return [said.charAt(0).toUpperCase() + said.slice(1), '', ...lines].join('\n').trim();
}

/** Changes the file in the editor, where it can be undone, and saves it. */
async function apply(language: Language, file: string, { name, changes }: OfferedChange): Promise<boolean> {
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file));
  const text = document.getText();
  const changed = language.changed({ file, text }, changes);
  const edit = new vscode.WorkspaceEdit();
  const all = new vscode.Range(document.positionAt(0), document.positionAt(text.length));
  if (changed !== undefined) edit.replace(document.uri, all, changed);
  if (changed === undefined || !(await vscode.workspace.applyEdit(edit))) {
    void vscode.window.showErrorMessage(
      l10n.t`PEFT Studio: ${name} could not be written into ${file}; change it by hand.`,
    );
    return false;
  }
  return (await savedFile(document.uri)) !== undefined;
}
