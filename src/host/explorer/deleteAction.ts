import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { formatBytes } from '../../common/format.js';
import { messageOf } from '../../common/problem.js';
import type { Entry } from './library.js';
import { isWithin } from './model.js';
import type { ExplorerView } from './view.js';

/** Asks, then moves an adapter, a run or a merged model to the trash. One that is running is refused. */
export async function deleteEntry(explorer: ExplorerView, { item }: Entry): Promise<void> {
  const { kind, folder } = item;
  const inside = (await explorer.all()).filter(
    (entry) => entry.item.folder !== folder && isWithin(entry.item.folder, folder),
  );
  if (await isBusy(explorer, [folder, ...inside.map((entry) => entry.item.folder)])) return;
  const place = vscode.workspace.asRelativePath(folder);
  const along = inside.map((entry) => vscode.workspace.asRelativePath(entry.item.folder));
  const chosen = await vscode.window.showWarningMessage(
    questionOf(kind, path.basename(folder)),
    {
      modal: true,
      detail: [
        l10n.t`${place}, ${formatBytes(item.bytes)} on the disk.`,
        ...(kind === 'run' ? [l10n.t`With its events, checkpoints and everything else in the folder.`] : []),
        ...(along.length > 0
          ? [l10n.t`What goes with it: ${along.slice(0, 5).join(', ') + (along.length > 5 ? ', …' : '')}`]
          : []),
      ].join('\n'),
    },
    l10n.t`Move to Trash`,
  );
  if (chosen === undefined) return;
  // While the question stood there, it may have been resumed.
  if (await isBusy(explorer, [folder, ...inside.map((entry) => entry.item.folder)])) return;
  const uri = vscode.Uri.file(folder);
  try {
    await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: true });
  } catch (error) {
    const forever = await vscode.window.showWarningMessage(
      l10n.t`It cannot be moved to the trash: ${messageOf(error)}`,
      { modal: true, detail: l10n.t`Deleted for good, it cannot be brought back.` },
      l10n.t`Delete for Good`,
    );
    if (forever === undefined) return;
    await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: false });
  }
  await explorer.refresh([item, ...inside.map((entry) => entry.item)]);
}

/** Whether one of the folders is, or lies in, that of a run that is going now; that is said. */
async function isBusy(explorer: ExplorerView, folders: readonly string[]): Promise<boolean> {
  const runs = (await explorer.all()).filter(
    ({ item }) => item.kind === 'run' && folders.some((folder) => isWithin(folder, item.folder)),
  );
  await explorer.refresh(runs.map(({ item }) => item));
  const busy = runs.some(({ item }) => {
    const now = explorer.at(item.folder)?.item;
    return now?.kind === 'run' && now.state.kind === 'running';
  });
  if (busy) {
    void vscode.window.showErrorMessage(l10n.t`PEFT Studio: this run is going. Stop it first, then delete it.`);
  }
  return busy;
}

function questionOf(kind: Entry['item']['kind'], name: string): string {
  switch (kind) {
    case 'adapter':
      return l10n.t`Move the adapter ${name} to the trash?`;
    case 'run':
      return l10n.t`Move the run ${name} to the trash?`;
    case 'merged':
      return l10n.t`Move the merged model ${name} to the trash?`;
  }
}
