import * as vscode from 'vscode';
import type {
  CompletionItem,
  DocumentSymbol,
  FoldingRange,
  MarkupContent,
  Range,
  TextEdit,
} from 'vscode-languageserver-types';

/** What the language server protocol says, in the editor's own terms. */
function toRange({ start, end }: Range): vscode.Range {
  return new vscode.Range(start.line, start.character, end.line, end.character);
}

/** Kinds count from 1 in the protocol and from 0 in the editor. */
export function toCompletion(item: CompletionItem): vscode.CompletionItem {
  const { label, kind, detail, documentation, filterText, sortText, textEdit, command, insertTextFormat } = item;
  // A description is shown in every row, a detail only in the one with the focus.
  const shown = detail === undefined ? label : { label, description: detail };
  const converted = new vscode.CompletionItem(shown, kind === undefined ? undefined : kind - 1);
  if (documentation !== undefined) converted.documentation = toMarkdown(documentation);
  if (filterText !== undefined) converted.filterText = filterText;
  if (sortText !== undefined) converted.sortText = sortText;
  if (command !== undefined) converted.command = { title: command.title, command: command.command };
  if (textEdit !== undefined) {
    const isSnippet = insertTextFormat === 2;
    converted.insertText = isSnippet ? new vscode.SnippetString(textEdit.newText) : textEdit.newText;
    if ('range' in textEdit) converted.range = toRange(textEdit.range);
  }
  return converted;
}

export function toSymbol({
  name,
  detail,
  kind,
  range,
  selectionRange,
  children,
}: DocumentSymbol): vscode.DocumentSymbol {
  const symbol = new vscode.DocumentSymbol(
    name === '' ? '…' : name,
    detail ?? '',
    kind - 1,
    toRange(range),
    toRange(selectionRange),
  );
  symbol.children = (children ?? []).map(toSymbol);
  return symbol;
}

export function toFold({ startLine, endLine }: FoldingRange): vscode.FoldingRange {
  return new vscode.FoldingRange(startLine, endLine);
}

export function toEdit({ range, newText }: TextEdit): vscode.TextEdit {
  return new vscode.TextEdit(toRange(range), newText);
}

function toMarkdown(documentation: string | MarkupContent): vscode.MarkdownString {
  return new vscode.MarkdownString(typeof documentation === 'string' ? documentation : documentation.value);
}
