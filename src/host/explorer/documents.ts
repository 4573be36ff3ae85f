import * as vscode from 'vscode';

const SCHEME = 'peft-studio';

/** Read-only documents that exist in the editor alone: inspections, answers. */
export interface Documents {
  /** Shows a text under a name with its ending (`Try x.md`); one of that name that is open is replaced. */
  show(name: string, text: string): Promise<void>;
  /** What a name shows now. */
  text(name: string): string | undefined;
  dispose(): void;
}

/** Makes the place of a window's virtual documents. */
export function createDocuments(): Documents {
  const texts = new Map<string, string>();
  const changing = new vscode.EventEmitter<vscode.Uri>();
  const provider = vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
    onDidChange: changing.event,
    provideTextDocumentContent: (uri) => texts.get(uri.path) ?? '',
  });
  const closing = vscode.workspace.onDidCloseTextDocument(({ uri }) => {
    if (uri.scheme === SCHEME) texts.delete(uri.path);
  });
  const uriOf = (name: string): vscode.Uri =>
    vscode.Uri.from({ scheme: SCHEME, path: `/${name.replace(/[\\/]/g, ' ')}` });
  return {
    async show(name, text) {
      const uri = uriOf(name);
      texts.set(uri.path, text);
      changing.fire(uri);
      const document = await vscode.workspace.openTextDocument(uri);
      await vscode.window.showTextDocument(document, { preview: true });
    },
    text: (name) => texts.get(uriOf(name).path),
    dispose() {
      closing.dispose();
      provider.dispose();
      changing.dispose();
    },
  };
}
