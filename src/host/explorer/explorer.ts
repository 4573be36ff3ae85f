import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { Inspection } from '../../adapters/inspect.js';
import type { Json } from '../../common/json.js';
import { isJsonObject } from '../../common/json.js';
import type { FoundRun, Liveness } from '../../engines/findRuns.js';
import type { RunEvent } from '../../training/events.js';
import type { Jobs } from '../job.js';
import type { Panels } from '../panels.js';
import { reveal } from '../places.js';
import type { Runs } from '../runs.js';
import type { Settle } from '../settle.js';
import { createCombinePage } from '../combinePage.js';
import type { CombinePage } from '../combinePage.js';
import { createComparePage } from '../comparePage.js';
import { createComposePage } from '../composePage.js';
import type { ComposePage } from '../composePage.js';
import { isWanted } from '../composeState.js';
import { adaptersToCombine, combineChoices } from './combineAction.js';
import { compareTwo } from './compareAdaptersAction.js';
import { convertTo } from './convertAction.js';
import { runsToCompare } from './compareAction.js';
import { askForMixture, composeChoices } from './composeAction.js';
import { deleteEntry } from './deleteAction.js';
import { createDocuments } from './documents.js';
import { inspectionText } from './inspectionText.js';
import type { Entry } from './library.js';
import { mergeIntoBase } from './mergeAction.js';
import type { Row } from './model.js';
import { entryFor, isRow } from './pick.js';
import type { ContextWord } from './present.js';
import { repairAdapter } from './repairAction.js';
import { restoreBase } from './restoreAction.js';
import { nameOf, tryIt } from './tryAction.js';
import { createExplorerView } from './view.js';

/** The adapter explorer of a window. */
export interface Explorer {
  /** The runs of the workspace, which is searched first where it was not yet. */
  runs(): Promise<readonly FoundRun[]>;
  /** The adapters of the workspace that can be used, with their bases. */
  adapters(): Promise<readonly Entry[]>;
  /** The adapter that a command was called on: a row of the tree (a run's stands for its adapter), or its folder. */
  adapterAt(argument: unknown): Promise<Entry | undefined>;
  /** The page of a search for a mixture. */
  readonly composition: Pick<ComposePage, 'drawn' | 'stop' | 'write'>;
  /** The page on which adapters are combined. */
  readonly combination: Omit<CombinePage, 'dispose'>;
  dispose(): void;
}

/** Makes the adapter explorer: its view and its commands. */
export function createExplorer(parts: {
  readonly runs: Runs;
  readonly panels: Panels;
  readonly isAlive: Liveness;
  readonly jobs: Jobs;
  readonly output: vscode.LogOutputChannel;
  readonly memory: vscode.Memento;
  readonly extensionUri: vscode.Uri;
  readonly settle: Settle;
}): Explorer {
  const { runs, panels, jobs, output } = parts;
  const documents = createDocuments();

  const explorer = createExplorerView(parts.isAlive, output);

  // What is excluded from watching is told of by the window's own run all the same.
  const following = runs.onDidChange(({ event }) => {
    const own = runs.present()?.about().folder;
    const worthALook = event === undefined || WORTH_A_LOOK.has(event.type);
    if (own !== undefined && worthALook) explorer.touch({ kind: 'run', folder: own });
  });

  /** The adapter that an entry is or, for a run, holds. */
  async function adapterOf(entry: Entry): Promise<Entry | undefined> {
    const { item } = entry;
    if (item.kind === 'adapter') return entry;
    if (item.kind !== 'run') return undefined;
    const state = item.state;
    const folder = state.kind === 'finished' || state.kind === 'stopped' ? state.adapter : undefined;
    await explorer.all();
    return folder === undefined ? undefined : explorer.at(folder);
  }

  async function inspect(entry: Entry): Promise<void> {
    const { folder } = entry.item;
    const found = await jobs.run({ title: l10n.t`Inspecting ${nameOf(folder)}`, args: ['inspect', folder] });
    if (!isInspection(found)) return;
    await documents.show(`${l10n.t`Inspection ${nameOf(folder)}`}.txt`, inspectionText(found, entry));
  }

  async function openPanel({ item }: Entry): Promise<void> {
    if (item.kind === 'run') await panels.openFolder(item.folder);
  }

  const comparison = createComparePage({
    ...parts,
    openPanel: async (folder) => {
      const entry = explorer.at(folder);
      if (entry !== undefined) await openPanel(entry);
    },
  });

  const composition = createComposePage({ ...parts, choices: composeChoices(explorer) });
  const combination = createCombinePage({ ...parts, choices: combineChoices(explorer) });

  /** A command about an entry; `selected` are the rows that were selected where it was called. */
  function command(
    name: string,
    about: { readonly word: ContextWord; readonly title: string },
    act: (entry: Entry, selected: readonly Row[]) => Promise<void>,
  ): vscode.Disposable {
    return vscode.commands.registerCommand(
      `peftStudio.${name}`,
      async (argument?: unknown, selected?: unknown) => {
        const entry = await entryFor(explorer, argument, about);
        if (entry !== undefined) await act(entry, Array.isArray(selected) ? selected.filter(isRow) : []);
      },
    );
  }

  /** A command about an adapter; called on a run, about the one it holds. */
  function adapterCommand(
    name: string,
    about: { readonly word: ContextWord; readonly title: string },
    act: (adapter: Entry, selected: readonly Row[]) => Promise<void>,
  ): vscode.Disposable {
    return command(name, about, async (entry, selected) => {
      const adapter = await adapterOf(entry);
      if (adapter !== undefined) await act(adapter, selected);
    });
  }

  const registered = vscode.Disposable.from(
    explorer,
    documents,
    following,
    comparison,
    combination,
    composition,
    adapterCommand('inspectAdapter', { word: 'inspectable', title: l10n.t`Inspect Adapter` }, inspect),
    // A message about an adapter names its folder, which may lie outside of the workspace.
    vscode.commands.registerCommand('peftStudio.repairAdapter', async (argument?: unknown) => {
      const about = { word: 'repairable', title: l10n.t`Repair Adapter` } as const;
      const folder = argument instanceof vscode.Uri ? argument.fsPath : undefined;
      const entry = folder === undefined ? await entryFor(explorer, argument, about) : explorer.at(folder);
      const place = entry?.item.folder ?? folder;
      if (place !== undefined) await repairAdapter({ jobs, documents }, place, entry?.base);
    }),
    adapterCommand(
      'mergeAdapter',
      { word: 'mergeable', title: l10n.t`Merge Adapter into Base` },
      async (adapter) => mergeIntoBase(jobs, adapter, await explorer.all()),
    ),
    command('restoreBase', { word: 'merged', title: l10n.t`Restore Base Model` }, (merged) =>
      restoreBase(jobs, merged),
    ),
    adapterCommand(
      'combineAdapters',
      { word: 'addable', title: l10n.t`Combine Adapters` },
      async (adapter, selected) => {
        const chosen = await adaptersToCombine(explorer, adapter, selected);
        if (chosen !== undefined) await combination.open(chosen.folders, chosen.model);
      },
    ),
    adapterCommand('compareAdapters', { word: 'comparable', title: l10n.t`Compare Adapters` }, async (adapter) =>
      compareTwo({ jobs, documents }, adapter, await explorer.all()),
    ),
    adapterCommand('convertAdapter', { word: 'convertible', title: l10n.t`Convert Adapter` }, (adapter) =>
      convertTo(jobs, adapter),
    ),
    // Whoever calls it with a search is not asked.
    vscode.commands.registerCommand('peftStudio.composeAdapters', async (argument?: unknown) => {
      const wanted = isWanted(argument) ? argument : await askForMixture(explorer, argument);
      if (wanted !== undefined) await composition.run(wanted);
    }),
    adapterCommand('showMixture', { word: 'mixture', title: l10n.t`Show Search for the Mixture` }, ({ item }) =>
      composition.open(item.folder),
    ),
    adapterCommand('tryAdapter', { word: 'usable', title: l10n.t`Try Adapter` }, (adapter) =>
      tryIt({ jobs, documents, memory: parts.memory }, adapter),
    ),
    command('openRunPanel', { word: 'run', title: l10n.t`Open Panel of a Run` }, openPanel),
    command('resumeRun', { word: 'resumable', title: l10n.t`Resume a Run` }, async ({ item }) => {
      await vscode.commands.executeCommand('peftStudio.resume', vscode.Uri.file(item.folder));
    }),
    command('revealAdapter', { word: 'placed', title: l10n.t`Reveal Adapter or Run` }, ({ item }) =>
      reveal(item.folder),
    ),
    command('copyAdapterPath', { word: 'placed', title: l10n.t`Copy Path of Adapter or Run` }, async ({ item }) =>
      vscode.env.clipboard.writeText(item.folder),
    ),
    command('deleteAdapter', { word: 'deletable', title: l10n.t`Delete Adapter or Run` }, (entry) =>
      deleteEntry(explorer, entry),
    ),
    vscode.commands.registerCommand('peftStudio.compareRuns', async (row?: Row, selected?: readonly Row[]) => {
      const folders = await runsToCompare(explorer, row, selected ?? []);
      if (folders !== undefined) comparison.open(folders);
    }),
    vscode.commands.registerCommand('peftStudio.revealBase', async (row?: Row) => {
      const place = row?.kind === 'base' ? explorer.placeOf(row) : undefined;
      if (place !== undefined) await reveal(place);
    }),
    vscode.commands.registerCommand('peftStudio.refreshAdapters', () => explorer.search()),
  );
  return {
    async runs() {
      return (await explorer.all()).flatMap(({ item }) => (item.kind === 'run' ? [item] : []));
    },
    async adapters() {
      return (await explorer.all()).filter(
        ({ item }) =>
          item.kind === 'adapter' &&
          explorer.look({ kind: 'item', folder: item.folder })?.context.includes('usable') === true,
      );
    },
    async adapterAt(argument) {
      await explorer.all();
      const folder =
        argument instanceof vscode.Uri
          ? argument.fsPath
          : isRow(argument) && argument.kind === 'item'
            ? argument.folder
            : undefined;
      const entry = folder === undefined ? undefined : explorer.at(folder);
      return entry && adapterOf(entry);
    },
    combination,
    composition,
    dispose: () => registered.dispose(),
  };
}

/** Events after which a run's row looks different. */
const WORTH_A_LOOK: ReadonlySet<RunEvent['type']> = new Set([
  'started',
  'step',
  'evaluation',
  'checkpoint',
  'paused',
  'continued',
]);

/** The command line is our own program: its folder and modules are enough to know its document. */
function isInspection(document: Json | undefined): document is Json & Inspection {
  return isJsonObject(document) && typeof document['folder'] === 'string' && Array.isArray(document['modules']);
}
