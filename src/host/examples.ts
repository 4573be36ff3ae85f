import * as l10n from '@vscode/l10n';
import { homedir } from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import { COPY_NAME, copyExamples, listExamples } from '../engines/examples.js';

/** Where the run file is kept that the next window is to open. */
const PENDING = 'peftStudio.examples.pending';

const CHOOSE = 'choose';

/**
 * Registers Open Example: which one, and where to put the gallery; then its run file is opened. A window without a
 * folder opens the gallery's, and the run file in it.
 */
export function registerExamples(
  extensionUri: vscode.Uri,
  memory: vscode.Memento,
  report: (error: unknown) => void,
): vscode.Disposable {
  openPending(memory).catch(report);
  const gallery = vscode.Uri.joinPath(extensionUri, 'examples').fsPath;
  return vscode.commands.registerCommand('peftStudio.openExample', async () => {
    const examples = await listExamples(gallery);
    const picked = await vscode.window.showQuickPick(
      examples.map(({ name, description, file }) => ({ label: name, detail: l10n.t(description), file })),
      {
        title: l10n.t`Open Example`,
        placeHolder: l10n.t`Each trains the bundled model in under a minute`,
        matchOnDetail: true,
      },
    );
    const place = picked && (await pickPlace());
    if (place === undefined) return;
    const folder = await copyExamples(gallery, place);
    const uri = vscode.Uri.file(path.join(folder, picked!.file));
    if (vscode.workspace.getWorkspaceFolder(uri) !== undefined) {
      await vscode.window.showTextDocument(uri);
      return;
    }
    await memory.update(PENDING, uri.fsPath);
    await vscode.commands.executeCommand('vscode.openFolder', vscode.Uri.file(folder), {
      // A window with work in it stays.
      forceNewWindow: vscode.workspace.workspaceFolders !== undefined,
    });
  });
}

/** The folder that the gallery goes into: one of the workspace, the user's own, or another. */
async function pickPlace(): Promise<string | undefined> {
  const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
  const places = [
    ...folders.map(({ name, uri }) => ({ label: `$(folder) ${l10n.t`In ${name}`}`, place: uri.fsPath })),
    { label: `$(home) ${l10n.t`In your home folder`}`, place: homedir() },
  ].map((each) => ({ ...each, description: path.join(each.place, COPY_NAME) }));
  const picked = await vscode.window.showQuickPick(
    [...places, { label: `$(folder-opened) ${l10n.t`Choose a folder…`}`, place: CHOOSE, description: '' }],
    { title: l10n.t`Open Example`, placeHolder: l10n.t`Where to put the examples: 5 MB with their model` },
  );
  if (picked?.place !== CHOOSE) return picked?.place;
  const chosen = await vscode.window.showOpenDialog({
    openLabel: l10n.t`Put Examples Here`,
    canSelectFiles: false,
    canSelectFolders: true,
  });
  return chosen?.[0]?.fsPath;
}

/** The window that was opened for an example shows its run file. */
async function openPending(memory: vscode.Memento): Promise<void> {
  const file = memory.get<string>(PENDING);
  if (file === undefined) return;
  const uri = vscode.Uri.file(file);
  if (vscode.workspace.getWorkspaceFolder(uri) === undefined) return;
  await memory.update(PENDING, undefined);
  await vscode.window.showTextDocument(uri);
}
