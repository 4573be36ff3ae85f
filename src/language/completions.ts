import { CompletionItemKind, InsertTextFormat } from 'vscode-languageserver-types';
import type { CompletionItem, Range } from 'vscode-languageserver-types';
import type { Place } from '../common/problem.js';
import { METHODS } from '../methods/registry.js';
import { cursorAt } from './cursor.js';
import { suggestAt } from './modelSuggestions.js';
import type { ModelPlaces } from './modelSuggestions.js';
import type { Cursor, RunDocument, Suggestion } from './runDocument.js';
import type { SchemaService } from './schemaService.js';
import { methodMarkdown } from './serviceSchema.js';

const KINDS: Readonly<Record<Suggestion['kind'], CompletionItemKind>> = {
  key: CompletionItemKind.Property,
  value: CompletionItemKind.Value,
  file: CompletionItemKind.File,
  folder: CompletionItemKind.Folder,
  model: CompletionItemKind.Module,
  module: CompletionItemKind.Field,
  column: CompletionItemKind.Variable,
};

/** The textbook's order: what is added, what is selected, what is low in rank, everything. */
const FAMILIES = ['additive', 'selective', 'low-rank', 'full'];

/** The command that opens the list of suggestions, for a key whose value is to be chosen next. */
const SUGGEST = { title: 'Suggest', command: 'editor.action.triggerSuggest' };

/** What can be written at an offset: first what model, data and methods offer, then what the schema has. */
export async function completionsAt(
  document: RunDocument,
  offset: number,
  places: ModelPlaces,
  service: SchemaService,
  signal: AbortSignal,
): Promise<readonly CompletionItem[]> {
  const { text, file } = document;
  const cursor = cursorAt(text, file, offset);
  if (cursor === undefined) return [];
  const [own, schema] = await Promise.all([
    isMethodType(cursor) ? methodSuggestions() : suggestAt(document, cursor, places, signal),
    service.complete(text, offset),
  ]);
  const range = rangeOf(cursor.replaces);
  const known = new Set(own.map(({ label }) => label));
  return [
    ...own.map((suggestion, index) => ownItem(suggestion, index, cursor, range)),
    ...schema.filter(({ label }) => !known.has(label)).map((item, index) => schemaItem(item, index, range)),
  ];
}

function isMethodType({ path, part }: Cursor): boolean {
  return part === 'value' && path.length === 3 && path[0] === 'method' && path[2] === 'type';
}

/** Every method, by family and place in it. */
function methodSuggestions(): readonly Suggestion[] {
  return METHODS.map(({ type, family, place, title }) => ({
    label: type,
    kind: 'value',
    detail: `${family} › ${place}: ${title}`,
    documentation: methodMarkdown(type),
    order: `${FAMILIES.indexOf(family)} ${place}`,
  }));
}

function ownItem(suggestion: Suggestion, index: number, { part }: Cursor, range: Range): CompletionItem {
  const { label, kind, detail, documentation, insert = label, order } = suggestion;
  const newText = part === 'key' && !insert.includes(':') ? `${insert}: ` : insert;
  return {
    label,
    kind: KINDS[kind],
    ...(detail === undefined ? {} : { detail }),
    ...(documentation === undefined ? {} : { documentation: { kind: 'markdown', value: documentation } }),
    textEdit: { range, newText },
    filterText: insert,
    sortText: `0 ${order ?? ''} ${String(index).padStart(4, '0')}`,
  };
}

/** The service's item at our word, with what is worth choosing next. */
function schemaItem(item: CompletionItem, index: number, range: Range): CompletionItem {
  const given = item.textEdit?.newText ?? item.insertText ?? item.label;
  const newText = NEXT[item.label] ?? given.replace(/: \n/, ':\n');
  const isKey = item.kind === CompletionItemKind.Property;
  return {
    label: item.label,
    ...(item.kind === undefined ? {} : { kind: item.kind }),
    ...(item.documentation === undefined ? {} : { documentation: item.documentation }),
    insertTextFormat: InsertTextFormat.Snippet,
    textEdit: { range, newText },
    sortText: `1 ${String(index).padStart(4, '0')}`,
    ...(isKey && !/\$\{/.test(newText) ? { command: SUGGEST } : {}),
  };
}

/** What to write for a key whose value is chosen from what we know better than the schema. */
const NEXT: Readonly<Record<string, string>> = {
  method: 'method:\n  type: ',
  type: 'type: ',
  target_modules: 'target_modules: ',
};

function rangeOf({ line = 1, column = 1, endLine = line, endColumn = column }: Place): Range {
  return {
    start: { line: line - 1, character: column - 1 },
    end: { line: endLine - 1, character: endColumn - 1 },
  };
}
