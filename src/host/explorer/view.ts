import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { Entry, Findings, Library, Suspect } from './library.js';
import { createLibrary } from './library.js';
import { createExplorerModel, isWithin } from './model.js';
import type { BaseRow, ItemRow, Redraw, Row } from './model.js';
import { lookOf, lookOfBase } from './present.js';
import type { Details, Look } from './present.js';
import { findSuspects, watchSuspects } from './watch.js';
import type { Liveness } from '../../engines/findRuns.js';
import { plain } from '../../language/modelText.js';

/** Read so many at once before the tree is drawn anew, so that the first rows come soon. */
const CHUNK = 200;

/** The explorer's view with what is behind it. */
export interface ExplorerView {
  readonly view: vscode.TreeView<Row>;
  /** Everything found; the workspace is searched first where it was not yet. */
  all(): Promise<readonly Entry[]>;
  /** What is found in a folder now; undefined: nothing. */
  at(folder: string): Entry | undefined;
  /** Reads a folder again soon, together with what else changes. */
  touch(suspect: Suspect): void;
  /** Where a base model is on this machine. */
  placeOf(row: BaseRow): string | undefined;
  /** How a row looks. */
  look(row: Row): Look | undefined;
  /** Reads some folders again. */
  refresh(suspects: readonly Suspect[]): Promise<void>;
  /** Searches the workspace anew. */
  search(): Promise<void>;
  dispose(): void;
}

/** Makes the tree view of adapters and runs; nothing is read before it is shown or asked. */
export function createExplorerView(isAlive: Liveness, output: vscode.LogOutputChannel): ExplorerView {
  const roots = (): string[] => (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
  const model = createExplorerModel();
  const library: Library = createLibrary({ roots, isAlive });
  const drawing = new vscode.EventEmitter<Row[] | undefined>();
  let searched: Promise<void> | undefined;
  let tellFirst = (): void => undefined;
  const firstRows = new Promise<void>((resolve) => (tellFirst = resolve));

  function redraw(what: Redraw): void {
    if (what === 'all') drawing.fire(undefined);
    else if (what.length > 0) drawing.fire([...what]);
  }

  let reading = Promise.resolve();
  /** One after the other: what was read first never takes the place of what was read later. */
  function refresh(suspects: readonly Suspect[]): Promise<void> {
    const read = reading.then(() => readAll(suspects));
    reading = read.catch(() => undefined);
    return read;
  }

  async function readAll(suspects: readonly Suspect[]): Promise<void> {
    for (let at = 0; at < suspects.length; at += CHUNK) {
      const findings: Findings = await library.look(suspects.slice(at, at + CHUNK));
      redraw(model.apply(findings));
      if (model.entries().size > 0) tellFirst();
    }
  }

  function drop(folder: string): void {
    for (const { item } of model.entries().values()) {
      if (isWithin(item.folder, folder)) library.forget(item);
    }
    redraw(model.drop(folder));
  }

  async function searchAll(): Promise<void> {
    await vscode.window.withProgress({ location: { viewId: 'peftStudio.adapters' } }, async () => {
      const suspects = await findSuspects(output);
      const known = [...model.entries().values()].map(({ item }): Suspect => ({
        kind: item.kind,
        folder: item.folder,
      }));
      // Base models may have come or gone: nothing is taken to be as it was.
      known.forEach(library.forget);
      await refresh([...suspects, ...known]);
    });
  }

  function search(): Promise<void> {
    searched = searchAll();
    searched.catch(tell);
    return searched;
  }
  const ensured = (): Promise<void> => searched ?? search();

  const provider: vscode.TreeDataProvider<Row> = {
    onDidChangeTreeData: drawing.event,
    async getChildren(row) {
      // An empty tree would say that there is nothing: the first rows are waited for, not all.
      await Promise.race([ensured(), firstRows]);
      return row === undefined ? [...model.roots()] : [...model.children(row)];
    },
    getParent: (row) => model.parent(row),
    getTreeItem(row) {
      const look = lookAt(row);
      const item = new vscode.TreeItem(look?.label ?? '');
      item.id = row.kind === 'base' ? `base:${row.key}` : `item:${row.folder}`;
      if (look === undefined) return item;
      const children = model.children(row).length;
      item.description = look.description;
      item.iconPath = icon(look);
      item.contextValue = look.context.join(' ');
      item.collapsibleState =
        row.kind === 'base'
          ? vscode.TreeItemCollapsibleState.Expanded
          : children > 0
            ? vscode.TreeItemCollapsibleState.Collapsed
            : vscode.TreeItemCollapsibleState.None;
      item.accessibilityInformation = { label: `${look.label}, ${look.description}` };
      return item;
    },
    resolveTreeItem(item, row) {
      const look = lookAt(row);
      if (look !== undefined) item.tooltip = tooltip(look.details);
      return item;
    },
  };

  function lookAt(row: Row): Look | undefined {
    return row.kind === 'base' ? lookAtBase(row) : lookAtItem(row);
  }
  function lookAtBase(row: BaseRow): Look | undefined {
    const base = model.base(row);
    return base && lookOfBase(base, model.children(row).length);
  }
  function lookAtItem(row: ItemRow): Look | undefined {
    const entry = model.entry(row);
    const own = model.children(row).map((child) => model.entry(child));
    return (
      entry &&
      lookOf(
        entry,
        own.find((each) => each?.item.kind === 'adapter'),
      )
    );
  }

  const view = vscode.window.createTreeView('peftStudio.adapters', {
    treeDataProvider: provider,
    showCollapseAll: true,
    canSelectMany: true,
  });
  const watching = watchSuspects({
    changed: (suspects) => {
      if (searched !== undefined) void refresh(suspects).catch(tell);
    },
    deleted: (folder) => {
      if (searched !== undefined) drop(folder);
    },
    foldersChanged: (removed) => {
      for (const folder of removed) drop(folder);
      if (searched !== undefined) void search();
    },
    running: () =>
      [...model.entries().values()].flatMap(({ item }): Suspect[] =>
        item.kind === 'run' && item.state.kind === 'running' ? [{ kind: 'run', folder: item.folder }] : [],
      ),
  });
  function tell(error: unknown): void {
    output.error(
      l10n.t`The explorer could not read the workspace: ${error instanceof Error ? error.message : String(error)}`,
    );
  }

  return {
    view,
    async all() {
      await ensured();
      return [...model.entries().values()];
    },
    at: (folder) => model.entries().get(folder),
    touch: watching.touch,
    placeOf: (row) => model.base(row)?.place,
    look: lookAt,
    refresh,
    search,
    dispose() {
      watching.dispose();
      view.dispose();
      drawing.dispose();
    },
  };
}

function icon({ icon: { name, color } }: Look): vscode.ThemeIcon {
  return new vscode.ThemeIcon(name, color === undefined ? undefined : new vscode.ThemeColor(color));
}

/** Names and messages come out of files. */
function tooltip({ title, rows, notes }: Details): vscode.MarkdownString {
  const lines = rows.map(([name, value]) => l10n.t`${plain(name)}: ${plain(value)}`);
  return new vscode.MarkdownString(
    [`**${plain(title)}**`, lines.join('  \n'), ...notes.map((note) => `---\n${plain(note)}`)].join('\n\n'),
  );
}
