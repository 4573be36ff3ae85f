import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import type { RunState } from '../engines/runState.js';
import { runFolderOf } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';
import { createPageFeed } from './pageFeed.js';
import type { PageFeed } from './pageFeed.js';
import { pageHtml, pageOptions } from './pageHtml.js';
import { reveal, showPlace } from './places.js';
import type { FromPage, PanelTab, ToPage } from './protocol.js';
import type { Runs } from './runs.js';
import type { Settle } from './settle.js';

/** A run that is over, or that another window works on: as it was when it was read. */
export interface PastRun {
  readonly state: RunState;
  readonly events: readonly RunEvent[];
}

/** The live panel: one per window. */
export interface Panel {
  /** Opens it on the window's run. */
  open(): void;
  /** Opens it on a run of the past; the window's next run takes its place. */
  openPast(run: PastRun): void;
  /** How many events the page has drawn of the present run; `undefined` while no page is open. */
  drawn(): number | undefined;
  /** How many errors pages have reported since the window opened. */
  errors(): number;
  /** Brings a tab of an open panel to the front. */
  showTab(tab: PanelTab): void;
  /** The tab that the page last said is in front and drawn. */
  shownTab(): PanelTab | undefined;
  dispose(): void;
}

const VIEW_TYPE = 'peftStudio.panel';

/** The panel of a window: opened on demand, fed with the present run. */
export function createPanel(
  extensionUri: vscode.Uri,
  runs: Runs,
  output: vscode.LogOutputChannel,
  settle: Settle,
): Panel {
  let errors = 0;
  let tab: PanelTab | undefined;
  let shown: { readonly view: vscode.WebviewPanel; readonly feed: PageFeed } | undefined;
  let past: PastRun | undefined;
  const stateShown = (): RunState => past?.state ?? runs.state();

  const following = runs.onDidChange(({ state, event, fresh }) => {
    if (fresh) past = undefined;
    if (!shown || past !== undefined) return;
    if (fresh) {
      shown.feed.restart();
      shown.view.title = titleOf(state);
    } else shown.feed.add(event);
  });

  function take(message: FromPage): void {
    switch (message.type) {
      case 'ready':
        tab = undefined;
        shown?.feed.ready();
        break;
      case 'drawn':
        shown?.feed.drawn(message.events);
        break;
      case 'tabShown':
        tab = message.tab;
        break;
      case 'train': {
        const state = stateShown();
        if (state.kind !== 'idle') run('peftStudio.train', vscode.Uri.file(state.file));
        break;
      }
      case 'resume': {
        const folder = runFolderOf(past?.events ?? runs.events());
        if (folder !== undefined) run('peftStudio.resume', vscode.Uri.file(folder));
        break;
      }
      case 'stop':
        // A run of another window is stopped there.
        if (past === undefined) run('peftStudio.stop');
        break;
      case 'showLog':
        run('peftStudio.showLog');
        break;
      case 'openRunFile': {
        const state = stateShown();
        if (state.kind !== 'idle') settle(showPlace({ file: state.file }));
        break;
      }
      case 'revealAdapter': {
        const state = stateShown();
        if (state.kind === 'finished') settle(reveal(state.result.adapter));
        break;
      }
      case 'openPlace':
        settle(showPlace(message.place));
        break;
      case 'pageError':
        errors += 1;
        output.error(`The panel's page: ${message.message}`);
        break;
    }
  }

  function run(command: string, ...parameters: readonly unknown[]): void {
    settle(vscode.commands.executeCommand(command, ...parameters));
  }

  function post(view: vscode.WebviewPanel, message: ToPage): void {
    settle(view.webview.postMessage(message));
  }

  function show(run: PastRun | undefined): void {
    if (shown) {
      const same = run === past;
      past = run;
      if (!same) {
        shown.feed.restart();
        shown.view.title = titleOf(stateShown());
      }
      shown.view.reveal(undefined, true);
      return;
    }
    past = run;
    openView();
  }

  function openView(): void {
    const column = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    fill(vscode.window.createWebviewPanel(VIEW_TYPE, titleOf(stateShown()), column, pageOptions(extensionUri)));
  }

  // A window that loads anew keeps its panel; the run, if one goes on, is found again.
  const restoring = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
    deserializeWebviewPanel(view) {
      shown?.view.dispose();
      view.webview.options = pageOptions(extensionUri);
      view.title = titleOf(stateShown());
      fill(view);
      return Promise.resolve();
    },
  });

  function fill(view: vscode.WebviewPanel): void {
    view.iconPath = {
      light: vscode.Uri.joinPath(extensionUri, 'media', 'panel-light.svg'),
      dark: vscode.Uri.joinPath(extensionUri, 'media', 'panel-dark.svg'),
    };
    const feed = createPageFeed({ state: stateShown, events: () => past?.events ?? runs.events() }, (message) =>
      post(view, message),
    );
    shown = { view, feed };
    view.webview.onDidReceiveMessage(take);
    view.onDidChangeViewState(() => {
      // A hidden page is thrown away by the editor; shown again, it starts anew and says ready.
      if (!view.visible) feed.away();
    });
    view.onDidDispose(() => {
      feed.away();
      shown = undefined;
    });
    view.webview.html = pageHtml(view.webview, extensionUri, 'panel');
  }

  return {
    open: () => show(undefined),
    openPast: show,
    drawn: () => shown?.feed.drawnEvents(),
    errors: () => errors,
    showTab(wanted) {
      if (shown) post(shown.view, { type: 'showTab', tab: wanted });
    },
    shownTab: () => tab,
    dispose() {
      following.dispose();
      restoring.dispose();
      // The page stays: a window that loads anew shows it again.
      shown?.feed.away();
    },
  };
}

function titleOf(state: RunState): string {
  return state.kind === 'idle' ? 'PEFT Studio' : `PEFT: ${runName(state.file)}`;
}
