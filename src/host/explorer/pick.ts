import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { Entry } from './library.js';
import type { ItemRow, Row } from './model.js';
import type { ContextWord, Look } from './present.js';
import type { ExplorerView } from './view.js';

/** What a keybinding passes instead of a row: the row that has the focus. */
const SELECTED = 'selected';

/**
 * The entry that a command is about: the row it was called on, the selected one for a key, else what is picked among
 * those that it applies to. Undefined: nothing was picked, or there is nothing to pick (that was said).
 */
export async function entryFor(
  explorer: ExplorerView,
  argument: unknown,
  about: { readonly word: ContextWord; readonly title: string },
): Promise<Entry | undefined> {
  const given = argument === SELECTED ? explorer.view.selection[0] : isRow(argument) ? argument : undefined;
  if (given !== undefined) {
    const entry = given.kind === 'item' ? explorer.at(given.folder) : undefined;
    if (entry === undefined || explorer.look(given)?.context.includes(about.word) !== true) {
      void vscode.window.showInformationMessage(l10n.t`PEFT Studio: ${about.title} does not apply to this.`);
      return undefined;
    }
    return entry;
  }
  const choices = (await explorer.all()).flatMap((entry): Choice[] => {
    const look = explorer.look(rowOf(entry));
    return look?.context.includes(about.word) === true ? [{ ...choiceText(entry, look), entry }] : [];
  });
  if (choices.length === 0) {
    void vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: ${about.title}: nothing in this workspace that it applies to.`,
    );
    return undefined;
  }
  choices.sort((a, b) => b.entry.item.modified - a.entry.item.modified);
  const options = { title: about.title, matchOnDescription: true, matchOnDetail: true };
  return (await vscode.window.showQuickPick(choices, options))?.entry;
}

interface Choice extends vscode.QuickPickItem {
  readonly entry: Entry;
}

function choiceText({ item }: Entry, { label, description, icon }: Look): vscode.QuickPickItem {
  return {
    label: `$(${icon.name}) ${label}`,
    description,
    detail: vscode.workspace.asRelativePath(item.folder),
  };
}

/** A row that stands for an entry. */
function rowOf({ item }: Entry): ItemRow {
  return { kind: 'item', folder: item.folder };
}

/** Whether a command's argument is a row of the tree. */
export function isRow(value: unknown): value is Row {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  return (value.kind === 'item' && 'folder' in value) || (value.kind === 'base' && 'key' in value);
}
