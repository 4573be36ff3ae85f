import * as vscode from 'vscode';
import { pageHtml, pageOptions } from './pageHtml.js';
import type { PageName } from './pageHtml.js';
import type { FromAnyPage } from './pageProtocol.js';
import type { Settle } from './settle.js';

/** A page that always shows one thing: whatever it was sent last. */
export interface Page<ToPage> {
  /** Shows it, once the page is ready and whenever it starts anew. */
  show(message: ToPage): void;
  reveal(title: string): void;
  dispose(): void;
}

/** Opens a page beside the editor, or fills one that the editor restores. */
export function openPage<ToPage, FromPage extends { readonly type: string }>(about: {
  readonly extensionUri: vscode.Uri;
  readonly name: PageName;
  readonly title: string;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  readonly take: (message: FromPage) => void;
  readonly closed: () => void;
  /** The one that the editor restores. */
  readonly restored?: vscode.WebviewPanel;
}): Page<ToPage> {
  const { extensionUri, name, output, settle } = about;
  let latest: ToPage | undefined;
  let ready = false;
  const view =
    about.restored ??
    vscode.window.createWebviewPanel(
      `peftStudio.${name}`,
      about.title,
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: false },
      pageOptions(extensionUri),
    );
  if (about.restored !== undefined) {
    view.title = about.title;
    view.webview.options = pageOptions(extensionUri);
  }
  const post = (): void => {
    if (ready && latest !== undefined) settle(view.webview.postMessage(latest));
  };
  view.webview.onDidReceiveMessage((message: FromPage | FromAnyPage) => {
    if (message.type === 'ready') {
      ready = true;
      post();
    } else if (isPageError(message)) output.error(`The ${name} page: ${message.message}`);
    else about.take(message as FromPage);
  });
  view.onDidChangeViewState(() => {
    // A hidden page is thrown away by the editor; shown again, it starts anew and says ready.
    if (!view.visible) ready = false;
  });
  view.onDidDispose(about.closed);
  view.webview.html = pageHtml(view.webview, extensionUri, name);
  return {
    show(message) {
      latest = message;
      post();
    },
    reveal(title) {
      view.title = title;
      view.reveal();
    },
    dispose: () => view.dispose(),
  };
}

function isPageError(message: { readonly type: string }): message is Extract<FromAnyPage, { type: 'pageError' }> {
  return message.type === 'pageError';
}
