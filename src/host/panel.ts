import * as vscode from 'vscode';
import { PANEL_VERSION } from '../engines/panelVersion.js';
import { runName } from '../config/runName.js';
import { createPageFeed } from './pageFeed.js';
import { pageHtml } from './pageHtml.js';
import { createPanelRequests } from './panelRequests.js';
import type { PanelHandlers } from './panelRequests.js';
import { reveal, showPlace } from './places.js';
import type { FromPage, PageCommand, ToPage } from './protocol.js';
import type { RunSource } from './runSource.js';
import type { Settle } from './settle.js';

/** The panel of one run. */
export interface Panel {
  readonly view: vscode.WebviewPanel;
  source(): RunSource;
  /** The run's folder, once it has one. */
  folder(): string | undefined;
  /** Shows another run from its beginning, or the same one from elsewhere. */
  show(source: RunSource): void;
  /** How many events the page has drawn; `undefined` while there is no page. */
  drawn(): number | undefined;
  /** Brings a tab to the front. */
  showTab(tab: string): void;
  /** The tab that the page last said is in front and drawn. */
  shownTab(): string | undefined;
}

/** What a panel needs of its window. */
export interface PanelWindow {
  readonly extensionUri: vscode.Uri;
  readonly settle: Settle;
  /** For one panel: what its page may ask. */
  readonly handlers: (panel: Panel) => PanelHandlers;
  /** Told what goes wrong in a page. */
  readonly pageError: (message: string) => void;
  /** Told when the panel came to the front. */
  readonly active: (panel: Panel) => void;
  readonly closed: (panel: Panel) => void;
}

/** Fills a view with the page and feeds it with a run. */
export function createPanel(
  view: vscode.WebviewPanel,
  first: RunSource,
  { extensionUri, settle, handlers, pageError, active, closed }: PanelWindow,
): Panel {
  let source = first;
  let tab: string | undefined;

  function post(message: ToPage): void {
    settle(view.webview.postMessage(message));
  }
  const feed = createPageFeed({ about: () => source.about(), events: () => source.events() }, (message) =>
    post({ version: PANEL_VERSION, ...message }),
  );
  let following = follow();

  function follow(): vscode.Disposable {
    view.title = titleOf(source);
    return source.onDidChange(({ event, fresh }) => {
      if (fresh) {
        feed.restart();
        view.title = titleOf(source);
      } else feed.add(event);
    });
  }

  const panel: Panel = {
    view,
    source: () => source,
    folder: () => source.about().folder,
    show(next) {
      if (next === source) return;
      following.dispose();
      source.dispose();
      source = next;
      following = follow();
      feed.restart();
    },
    drawn: () => feed.drawnEvents(),
    showTab: (wanted) => post({ version: PANEL_VERSION, type: 'showTab', tab: wanted }),
    shownTab: () => tab,
  };
  const requests = createPanelRequests(handlers(panel), (message) => post({ version: PANEL_VERSION, ...message }));

  function take(message: FromPage): void {
    if (message.version !== PANEL_VERSION) {
      pageError(`speaks version ${message.version} of the panel's protocol, not ${PANEL_VERSION}`);
      return;
    }
    switch (message.type) {
      case 'ready':
        tab = undefined;
        requests.cancelAll();
        feed.ready();
        break;
      case 'drawn':
        feed.drawn(message.events);
        break;
      case 'tabShown':
        tab = message.tab;
        break;
      case 'openPlace':
        settle(showPlace(message.place));
        break;
      case 'request':
        requests.take(message);
        break;
      case 'cancelRequest':
        requests.cancel(message.id);
        break;
      case 'pageError':
        pageError(message.message);
        break;
      default:
        settle(command(message.type, source));
    }
  }

  view.iconPath = {
    light: vscode.Uri.joinPath(extensionUri, 'media', 'panel-light.svg'),
    dark: vscode.Uri.joinPath(extensionUri, 'media', 'panel-dark.svg'),
  };
  view.webview.onDidReceiveMessage(take);
  view.onDidChangeViewState(() => {
    if (view.active) active(panel);
    // A hidden page is thrown away by the editor; shown again, it starts anew and says ready.
    if (view.visible) return;
    feed.away();
    requests.cancelAll();
  });
  view.onDidDispose(() => {
    feed.away();
    requests.cancelAll();
    following.dispose();
    source.dispose();
    closed(panel);
  });
  view.webview.html = pageHtml(view.webview, extensionUri, 'panel');
  return panel;
}

/** Does what a button asks for. */
async function command(type: PageCommand, source: RunSource): Promise<void> {
  const { state, folder, canControl } = source.about();
  const run = (name: string, ...parameters: readonly unknown[]): Thenable<unknown> =>
    vscode.commands.executeCommand(`peftStudio.${name}`, ...parameters);
  switch (type) {
    case 'train':
      if (state.kind !== 'idle') await run('train', vscode.Uri.file(state.file));
      break;
    case 'resume':
      if (folder !== undefined) await run('resume', vscode.Uri.file(folder));
      break;
    // What another window or a terminal trains is controlled there.
    case 'pause':
      if (canControl) await run('pause');
      break;
    case 'continue':
      if (canControl) await run('continueRun');
      break;
    case 'stop':
      if (canControl) await run('stop');
      break;
    case 'checkpoint':
      if (canControl) await run('checkpointNow');
      break;
    case 'openRunFolder':
      if (folder !== undefined) await reveal(folder);
      break;
    case 'showLog':
      await run('showLog');
      break;
    case 'openRunFile':
      if (state.kind !== 'idle') await showPlace({ file: state.file });
      break;
    case 'revealAdapter':
      if (state.kind === 'finished') await reveal(state.result.adapter);
      break;
    case 'openPlayground':
      if (state.kind === 'finished') await run('openPlayground', vscode.Uri.file(state.result.adapter));
      break;
  }
}

/** Runs of one file are told apart by when they began. */
function titleOf(source: RunSource): string {
  const { state } = source.about();
  if (state.kind === 'idle') return 'PEFT Studio';
  const name = `PEFT: ${runName(state.file)}`;
  if (state.began === 0) return name;
  const began = new Date(state.began);
  const { language } = vscode.env;
  const isToday = began.toDateString() === new Date().toDateString();
  const time = began.toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit' });
  return `${name}, ${isToday ? time : `${began.toLocaleDateString(language)} ${time}`}`;
}
