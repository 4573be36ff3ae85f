import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { pathKind } from '../../common/files.js';
import { formatCount } from '../../common/format.js';
import { isJsonObject } from '../../common/json.js';
import { becomesLora } from '../../engines/combination/form.js';
import type { CombinationKind } from '../../engines/combination/form.js';
import { ranksOf } from '../../engines/combination/preview.js';
import { RUN_EVENTS } from '../../engines/runFiles.js';
import type { CombineChoices } from '../combinePage.js';
import type { CombinedAdapter } from '../combineProtocol.js';
import { reveal } from '../places.js';
import { askForBase, baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import type { ItemRow, Row } from './model.js';
import { askOutFolder } from './outFolder.js';
import { ADDABLE_METHODS, addsUpWith, lookOf } from './present.js';
import { nameOf } from './tryAction.js';
import type { ExplorerView } from './view.js';

/**
 * The adapters to combine with one: those that are selected in the explorer, else those that are picked from a list.
 * Undefined: none were.
 */
export async function adaptersToCombine(
  explorer: ExplorerView,
  adapter: Entry,
  selected: readonly Row[],
): Promise<{ readonly folders: readonly string[]; readonly model?: string } | undefined> {
  const { folder } = adapter.item;
  const others = othersOf(await explorer.all(), [adapter]);
  const chosen = new Set(selected.flatMap((row) => (row.kind === 'item' ? [row.folder] : [])));
  const beside = others.filter(({ item }) => chosen.has(item.folder)).map(({ item }) => item.folder);
  // What becomes a LoRA can be scaled, or cut to a rank, alone.
  const alone = others.length === 0 && becomesLora(kindOf([adapter]));
  const added = beside.length > 0 || alone ? beside : await pickOf(others, [folder]);
  if (added === undefined) return undefined;
  const base = await baseArgument(adapter);
  return base && { folders: [folder, ...added], ...base };
}

/** What the page of combined adapters asks the explorer. */
export function combineChoices(explorer: ExplorerView): CombineChoices {
  return {
    async about(folders) {
      await explorer.all();
      const entries = folders.map((folder) => explorer.at(folder));
      const known = entries.filter((entry) => entry !== undefined);
      return {
        kind: kindOf(known),
        base: known[0]?.base.label ?? '',
        adapters: folders.map((folder, at) => combinedAdapter(folder, entries[at])),
      };
    },
    async others(folders) {
      const all = await explorer.all();
      const there = all.filter(({ item }) => folders.includes(item.folder));
      return pickOf(othersOf(all, there), folders);
    },
    base: () => askForBase(l10n.t`The base model that the adapters are of: where is it?`),
    target: async (first) =>
      askOutFolder(
        l10n.t`Combine Adapters: folder for the adapter`,
        `${await placeOf(first)}-combined`,
        l10n.t`It must not exist yet. The adapters stay as they are.`,
      ),
    async written(target, report) {
      await explorer.refresh([{ kind: 'adapter', folder: target }]);
      const [reveals, inspects, tries] = [l10n.t`Reveal`, l10n.t`Inspect`, l10n.t`Try`];
      const text = [
        l10n.t`PEFT Studio: the combined adapter is in ${vscode.workspace.asRelativePath(target)}.`,
        ...summary(report),
      ].join(' ');
      const answer = await vscode.window.showInformationMessage(text, reveals, inspects, tries);
      const row: ItemRow = { kind: 'item', folder: target };
      if (answer === reveals) await reveal(target);
      if (answer === inspects) await vscode.commands.executeCommand('peftStudio.inspectAdapter', row);
      if (answer === tries) await vscode.commands.executeCommand('peftStudio.tryAdapter', row);
    },
  };
}

/** What the command reported, as far as it can be told in sentences. */
function summary(report: unknown): readonly string[] {
  if (!isJsonObject(report) || typeof report['numbers'] !== 'number') return [];
  const { numbers, warnings } = report;
  const count = Array.isArray(warnings) ? warnings.length : 0;
  return [
    l10n.t`It holds ${formatCount(numbers)} numbers.`,
    ...(count === 1 ? [l10n.t`1 warning: see the log.`] : []),
    ...(count > 1 ? [l10n.t`${count} warnings: see the log.`] : []),
  ];
}

/** Adapters that add up with those that are there, and are none of them; the latest first. */
function othersOf(all: readonly Entry[], there: readonly Entry[]): readonly Entry[] {
  const taken = new Set(there.map(({ item }) => item.folder));
  return all
    .filter((other) => !taken.has(other.item.folder) && there.every((one) => addsUpWith(one, other)))
    .sort((a, b) => b.item.modified - a.item.modified);
}

/** Undefined: cancelled, none chosen, or there are none (that was said). */
async function pickOf(others: readonly Entry[], there: readonly string[]): Promise<readonly string[] | undefined> {
  if (others.length === 0) {
    void vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: there is no other adapter in this workspace that these can be combined with: one that keeps updates, and of the same base model.`,
    );
    return undefined;
  }
  const chosen = await vscode.window.showQuickPick(
    others.map((entry) => {
      const { folder } = entry.item;
      const { description } = lookOf(entry);
      return { label: nameOf(folder), description, detail: vscode.workspace.asRelativePath(folder), folder };
    }),
    {
      title: l10n.t`Combine with ${there.map(nameOf).join(' + ')}: the other adapters`,
      canPickMany: true,
      ignoreFocusOut: true,
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  return chosen === undefined || chosen.length === 0 ? undefined : chosen.map(({ folder }) => folder);
}

/** What adapters are combined of, as far as their configs tell. */
function kindOf(entries: readonly Entry[]): CombinationKind {
  const kinds = entries.flatMap(({ item }) =>
    item.kind === 'adapter' ? (ADDABLE_METHODS[item.method ?? ''] ?? []) : [],
  );
  const [first = 'factors', ...others] = kinds;
  return others.every((kind) => kind === first) ? first : 'updates';
}

function combinedAdapter(folder: string, entry: Entry | undefined): CombinedAdapter {
  const item = entry?.item.kind === 'adapter' ? entry.item : undefined;
  return {
    folder,
    name: nameOf(folder),
    place: vscode.workspace.asRelativePath(folder),
    method: item?.method,
    ranks: item && ranksOf(item.modules),
    trained: item?.trainable,
  };
}

/** What the result is put beside: of a run's adapter the run, for it is not what the run wrote. */
async function placeOf(folder: string): Promise<string> {
  const run = path.dirname(folder);
  return (await pathKind(path.join(run, RUN_EVENTS))) === 'file' ? run : folder;
}
