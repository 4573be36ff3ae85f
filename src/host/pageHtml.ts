import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { pageTexts } from './pageTexts.js';

/** What a page of ours may do: run the scripts that are built into `dist/webview`. */
export function pageOptions(extensionUri: vscode.Uri): vscode.WebviewOptions {
  return { enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(extensionUri, 'dist', 'webview')] };
}

/** The pages of `dist/webview`. */
export type PageName = 'panel' | 'preview' | 'compare' | 'methods' | 'combine' | 'compose' | 'playground';

/** The document of a page whose script and styles are `NAME.js` and `NAME.css`; it fills `<main id="NAME">`. Its texts are in the editor's language. */
export function pageHtml(webview: vscode.Webview, extensionUri: vscode.Uri, name: PageName): string {
  const nonce = randomBytes(16).toString('base64url');
  // The toolkit looks for it: with a style of its own it tries out whether the browser knows :focus-visible.
  const styleNonce = randomBytes(16).toString('base64url');
  const file = (ending: string): string =>
    webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, 'dist', 'webview', `${name}.${ending}`)).toString();
  return `<!doctype html>
<html lang="${vscode.l10n.bundle === undefined ? 'en' : vscode.env.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource} 'nonce-${styleNonce}'; script-src 'nonce-${nonce}';">
<meta property="csp-nonce" content="${styleNonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${file('css')}">
<title>PEFT Studio</title>
</head>
<body>
<main id="${name}"></main>
<script type="application/json" id="texts">${pageTexts(extensionUri, name)}</script>
<script type="module" nonce="${nonce}" src="${file('js')}"></script>
</body>
</html>`;
}
