import * as vscode from 'vscode';
import { messageOf } from '../../common/problem.js';
import { rangeOf } from '../places.js';
import { toCompletion, toEdit, toFold, toSymbol } from './convert.js';
import { createDiagnostics } from './diagnostics.js';
import type { Diagnostics } from './diagnostics.js';
import { openText, unlessCancelled } from './documents.js';
import { createLenses } from './lenses.js';
import { RUN_FILES, YAML_RUN_FILES } from './load.js';
import type { LoadLanguage } from './load.js';

/** Characters after which suggestions are worth showing without being asked for. */
const TRIGGERS = [':', ' ', '-', '[', ',', '/', '.'];

/**
 * Registers what the editor asks about run files: completion, hovers, problems and their fixes, lenses, outline,
 * folding, formatting.
 *
 * @param modelFolders the setting `peftStudio.modelFolders`
 */
export function registerLanguage(
  load: LoadLanguage,
  output: vscode.LogOutputChannel,
  modelFolders: () => readonly string[],
): vscode.Disposable {
  const report = (error: unknown): void => output.error(`Run files: ${messageOf(error)}`);
  const diagnostics = createDiagnostics(load, report);
  return vscode.Disposable.from(
    diagnostics,
    createLenses(load, report),
    vscode.languages.registerCompletionItemProvider(RUN_FILES, completions(load, modelFolders), ...TRIGGERS),
    vscode.languages.registerHoverProvider(RUN_FILES, {
      async provideHover(document, position, token) {
        const language = await load();
        const text = await unlessCancelled(token, (signal) =>
          language.hover(openText(document), document.offsetAt(position), signal),
        );
        return text === undefined ? undefined : new vscode.Hover(new vscode.MarkdownString(text));
      },
    }),
    // Apart from the other, which need not wait for plans.
    vscode.languages.registerHoverProvider(RUN_FILES, {
      async provideHover(document, position, token) {
        const language = await load();
        const text = await unlessCancelled(token, (signal) =>
          language.memoryHover(openText(document), document.offsetAt(position), signal),
        );
        return text === undefined ? undefined : new vscode.Hover(new vscode.MarkdownString(text));
      },
    }),
    vscode.languages.registerCodeActionsProvider(RUN_FILES, fixes(load, diagnostics), {
      providedCodeActionKinds: [vscode.CodeActionKind.QuickFix],
    }),
    vscode.languages.registerDocumentSymbolProvider(RUN_FILES, {
      provideDocumentSymbols: async (document) => (await load()).symbols(openText(document)).map(toSymbol),
    }),
    vscode.languages.registerFoldingRangeProvider(RUN_FILES, {
      provideFoldingRanges: async (document) => (await load()).folds(openText(document)).map(toFold),
    }),
    vscode.languages.registerDocumentFormattingEditProvider(YAML_RUN_FILES, {
      provideDocumentFormattingEdits: async (document) =>
        (await (await load()).format(openText(document))).map(toEdit),
    }),
  );
}

function completions(load: LoadLanguage, modelFolders: () => readonly string[]): vscode.CompletionItemProvider {
  return {
    async provideCompletionItems(document, position, token) {
      const language = await load();
      const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
      const places = { folders, modelFolders: modelFolders() };
      const items = await unlessCancelled(token, (signal) =>
        language.complete(openText(document), document.offsetAt(position), places, signal),
      );
      return items?.map(toCompletion);
    },
  };
}

function fixes(load: LoadLanguage, diagnostics: Diagnostics): vscode.CodeActionProvider {
  return {
    async provideCodeActions(document, _range, { diagnostics: asked }) {
      const language = await load();
      return asked.flatMap((diagnostic) => {
        const problem = diagnostics.problemOf(document, diagnostic);
        if (problem === undefined) return [];
        return language.fixes(openText(document), problem).map(({ title, at, text, preferred }) => {
          const action = new vscode.CodeAction(title, vscode.CodeActionKind.QuickFix);
          action.diagnostics = [diagnostic];
          action.isPreferred = preferred;
          action.edit = new vscode.WorkspaceEdit();
          action.edit.replace(document.uri, rangeOf(at), text);
          return action;
        });
      });
    },
  };
}
