import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { MOST_COMPARED } from '../../engines/runFiles.js';
import type { Entry } from './library.js';
import type { Row } from './model.js';
import type { ExplorerView } from './view.js';

/**
 * The folders of the runs to compare: those that are selected in the explorer, else those that are picked from a list,
 * where the run that the command was called on is picked already. Undefined: none were.
 */
export async function runsToCompare(
  explorer: ExplorerView,
  row: Row | undefined,
  selected: readonly Row[],
): Promise<readonly string[] | undefined> {
  const chosen = foldersOf(selected, explorer);
  if (chosen.length >= 2) return chosen;
  const called = row === undefined ? [] : foldersOf([row], explorer);
  const runs = (await explorer.all()).filter(isRun).sort((a, b) => b.item.modified - a.item.modified);
  if (runs.length < 2) {
    void vscode.window.showInformationMessage(
      runs.length === 1
        ? l10n.t`PEFT Studio: there is one run in this workspace; comparing takes two.`
        : l10n.t`PEFT Studio: there are no runs in this workspace; comparing takes two.`,
    );
    return undefined;
  }
  const picked = await vscode.window.showQuickPick(
    runs.map((entry) => {
      const look = explorer.look({ kind: 'item', folder: entry.item.folder });
      return {
        label: look?.label ?? entry.item.folder,
        ...(look === undefined ? {} : { description: look.description }),
        detail: vscode.workspace.asRelativePath(entry.item.folder),
        picked: called.includes(entry.item.folder),
        folder: entry.item.folder,
      };
    }),
    {
      title: l10n.t`Compare 2 to ${MOST_COMPARED} Runs`,
      canPickMany: true,
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  if (picked === undefined) return undefined;
  if (picked.length >= 2 && picked.length <= MOST_COMPARED) return picked.map(({ folder }) => folder);
  void vscode.window.showInformationMessage(
    picked.length === 1
      ? l10n.t`PEFT Studio: 1 run was picked; comparing takes 2 to ${MOST_COMPARED}.`
      : l10n.t`PEFT Studio: ${picked.length} runs were picked; comparing takes 2 to ${MOST_COMPARED}.`,
  );
  return undefined;
}

function foldersOf(rows: readonly Row[], explorer: ExplorerView): string[] {
  return rows.flatMap((row) => {
    const entry = row.kind === 'item' ? explorer.at(row.folder) : undefined;
    return entry !== undefined && isRun(entry) ? [entry.item.folder] : [];
  });
}

function isRun({ item }: Entry): boolean {
  return item.kind === 'run';
}
