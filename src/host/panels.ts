import * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import { messageOf, problemOf } from '../common/problem.js';
import type { Liveness } from '../engines/findRuns.js';
import { PANEL_VERSION } from '../engines/panelVersion.js';
import { openPastRun } from '../engines/pastRun.js';
import { pageOptions } from './pageHtml.js';
import { createPanel } from './panel.js';
import type { Jobs } from './job.js';
import type { Panel, PanelWindow } from './panel.js';
import { createPanelHandlers } from './panelHandlers.js';
import type { KnownRuns } from './panelHandlers.js';
import type { Runs } from './runs.js';
import { followed, goneRun, isGone, noRun } from './runSource.js';
import type { RunSource } from './runSource.js';
import type { Settle } from './settle.js';

/** The live panels of a window: one per run. */
export interface Panels {
  /** Opens the panel of the window's present or last run; an empty one when there was none. */
  open(): void;
  /** Opens the panel of the run that begins next. */
  openNext(): void;
  /** Opens the panel of the run in a folder, whoever trains or trained it. Rejects when its record cannot be read. */
  openFolder(folder: string): Promise<void>;
  /** The folder of the run whose panel was in front last. */
  folderInFront(): string | undefined;
  /** Of the panel that was in front last: see {@link Panel}. */
  drawn(): number | undefined;
  showTab(tab: string): void;
  shownTab(): string | undefined;
  /** All that are open, in the order in which they were opened. */
  all(): readonly { readonly folder: string | undefined; readonly drawn: number | undefined }[];
  /** How many errors pages have reported since the window opened. */
  errors(): number;
  dispose(): void;
}

const VIEW_TYPE = 'peftStudio.panel';

/** Makes the window's panels: none yet, but those that the editor restores. */
export function createPanels(parts: {
  readonly extensionUri: vscode.Uri;
  readonly runs: Runs;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  /** Whether a process works on the run of a folder. */
  readonly isAlive: Liveness;
  readonly knownRuns: KnownRuns;
  readonly jobs: Jobs;
}): Panels {
  const { extensionUri, runs, output, settle, isAlive } = parts;
  const open = new Set<Panel>();
  let front: Panel | undefined;
  let errors = 0;
  let opensNext = false;

  const window: PanelWindow = {
    extensionUri,
    settle,
    handlers: (panel) => createPanelHandlers({ panel, isAlive, knownRuns: parts.knownRuns, jobs: parts.jobs }),
    pageError(message) {
      errors += 1;
      output.error(`The panel's page: ${message}`);
    },
    active: (panel) => (front = panel),
    closed(panel) {
      open.delete(panel);
      if (front === panel) front = undefined;
    },
  };

  const ofFolder = (folder: string): Panel | undefined => [...open].find((panel) => panel.folder() === folder);
  const ofSource = (source: RunSource): Panel | undefined => [...open].find((panel) => panel.source() === source);

  function fill(view: vscode.WebviewPanel, source: RunSource): void {
    const panel = createPanel(view, source, window);
    open.add(panel);
    front = panel;
  }

  function openSource(source: RunSource): void {
    const folder = source.about().folder;
    const there = ofSource(source) ?? (folder === undefined ? undefined : ofFolder(folder)) ?? ofSource(noRun);
    if (there) {
      there.show(source);
      there.view.reveal(undefined, true);
      front = there;
      return;
    }
    // Beside the run file, or over the panel that is there: whoever wants two side by side moves one.
    const viewColumn = (front ?? [...open].at(-1))?.view.viewColumn ?? vscode.ViewColumn.Beside;
    const options = { ...pageOptions(extensionUri), enableFindWidget: true };
    fill(
      vscode.window.createWebviewPanel(VIEW_TYPE, 'PEFT Studio', { viewColumn, preserveFocus: true }, options),
      source,
    );
  }

  /** The run of a folder as it can be read, or the window's own. */
  async function sourceOf(folder: string): Promise<RunSource> {
    const present = runs.present();
    if (present?.about().folder === folder) return present;
    const past = await openPastRun(folder, isAlive);
    return followed(past, (error) => output.error(`The panel of ${folder}: ${messageOf(error)}`));
  }

  /** The window's run takes the place of what was read of it before, or of nothing. */
  function settlePresent(): void {
    const present = runs.present();
    const folder = present?.about().folder;
    if (present === undefined || folder === undefined) return;
    const own = ofSource(present);
    for (const panel of open) {
      if (panel === own || panel.folder() !== folder) continue;
      // Resumed by its file, a run that had a panel got a new one before it could be known.
      if (own) panel.view.dispose();
      else panel.show(present);
    }
  }

  const following = runs.onDidChange(({ event, fresh }) => {
    const present = runs.present();
    if (fresh && present) {
      ofSource(noRun)?.show(present);
      if (opensNext) openSource(present);
      opensNext = false;
    }
    if (fresh || event?.type === 'started') settlePresent();
  });

  // A window that loads anew keeps its panels; a run that goes on is found again, others are read again.
  const restoring = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
    async deserializeWebviewPanel(view, state: unknown) {
      view.webview.options = pageOptions(extensionUri);
      const folder = folderKept(state);
      if (folder === undefined) {
        fill(view, runs.present() ?? noRun);
        return;
      }
      const source = await sourceOf(folder).catch((error: unknown) => goneRun(folder, problemOf(error)));
      if (ofFolder(folder) !== undefined) {
        source.dispose();
        view.dispose();
        return;
      }
      fill(view, source);
      // It may have been found while the record was read.
      settlePresent();
    },
  });

  return {
    open: () => openSource(runs.present() ?? noRun),
    openNext: () => (opensNext = true),
    async openFolder(folder) {
      const there = ofFolder(folder)?.source();
      openSource(there === undefined || isGone(there) ? await sourceOf(folder) : there);
      // The window's run may have told its folder while the record was read.
      settlePresent();
    },
    folderInFront: () => front?.folder(),
    drawn: () => front?.drawn(),
    showTab: (tab) => front?.showTab(tab),
    shownTab: () => front?.shownTab(),
    all: () => [...open].map((panel) => ({ folder: panel.folder(), drawn: panel.drawn() })),
    errors: () => errors,
    dispose() {
      following.dispose();
      restoring.dispose();
      // The pages stay: a window that loads anew shows them again.
    },
  };
}

/** The folder that a page of this version kept. */
function folderKept(state: unknown): string | undefined {
  if (!isJsonObject(state) || state['version'] !== PANEL_VERSION) return undefined;
  return typeof state['folder'] === 'string' ? state['folder'] : undefined;
}
