import type * as vscode from 'vscode';
import type { OpenText } from '../../language/language.js';

/** A document as what knows run files takes it. */
export function openText(document: vscode.TextDocument): OpenText {
  return { file: document.uri.fsPath, text: document.getText() };
}

/** The answer, or nothing when the editor no longer wants it. */
export async function unlessCancelled<T>(
  token: vscode.CancellationToken,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const abort = new AbortController();
  const cancelling = token.onCancellationRequested(() => abort.abort());
  try {
    return await work(abort.signal);
  } catch (error) {
    if (abort.signal.aborted) return undefined;
    throw error;
  } finally {
    cancelling.dispose();
  }
}
