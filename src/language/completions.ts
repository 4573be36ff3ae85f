import * as l10n from '@vscode/l10n';
import { CompletionItemKind, InsertTextFormat } from 'vscode-languageserver-types';
import type { CompletionItem, Range } from 'vscode-languageserver-types';
import type { Place } from '../common/problem.js';
import { asValue } from '../config/asValue.js';
import { METHODS } from '../methods/registry.js';
import { cursorAt } from './cursor.js';
import type { LocatedCursor } from './cursor.js';
import { beginningOf, lineAround, openingOf } from './keyText.js';
import type { LineAround } from './keyText.js';
import { suggestAt } from './modelSuggestions.js';
import type { ModelPlaces } from './modelFinder.js';
import type { RunDocument, Suggestion } from './runDocument.js';
import { isMethodType, optionName, schemaAt } from './schemaAt.js';
import { methodMarkdown, methodsMarkdown, optionMarkdown } from './schemaHover.js';
import type { SchemaService } from './schemaService.js';
import { schemaRows } from './schemaRows.js';
import type { SchemaRow } from './schemaRows.js';

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

/** The command that opens the list of suggestions, for a key whose value is to be chosen next; its title is not shown. */
const SUGGEST = { title: '', command: 'editor.action.triggerSuggest' };

/**
 * What can be written at an offset: first what model, data and methods offer, then what the schema has. The rows of
 * the schema come from the YAML language service; where it has none (between braces, beside the key of a section), from
 * the schema itself.
 */
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
  const line = lineAround(document, cursor);
  if (cursor.style === 'bare') return [openingItem(document, cursor, line)];
  const isType = cursor.part === 'value' && isMethodType(cursor.path);
  const [own, schema] = await Promise.all([
    isType ? methodSuggestions(file) : suggestAt(document, cursor, places, signal),
    cursor.style === 'block' ? service.complete(text, offset) : [],
  ]);
  const known = new Set(own.map(({ label }) => label));
  const rows = schema.filter((row) => mayStand(row, cursor));
  return [
    ...own.map((suggestion, index) => ownItem(suggestion, index, cursor, line)),
    ...(rows.length > 0 ? rows : schemaRows(cursor, file))
      .filter(({ label }) => !known.has(label))
      .map((row, index) =>
        row.isKey ? keyItem(row, index, document, cursor, line) : valueItem(row, index, cursor, line),
      ),
  ];
}

/** Which options a method has is known when its type is. */
function mayStand({ label, isKey }: SchemaRow, { part, path, methodType }: LocatedCursor): boolean {
  if (isKey !== (part === 'key')) return false;
  const isOption = part === 'key' && path[0] === 'method' && path.length === 3;
  return !isOption || methodType !== undefined || label === 'type';
}

/** Every method, by family and place in it. */
function methodSuggestions(file: string): readonly Suggestion[] {
  return METHODS.map(({ type, family, place, title }) => ({
    label: type,
    kind: 'value',
    insert: asValue(type, file),
    detail: l10n.t`${l10n.t(family)} › ${l10n.t(place)}: ${l10n.t(title)}`,
    documentation: methodMarkdown(type),
    order: `${FAMILIES.indexOf(family)} ${place}`,
  }));
}

function ownItem(suggestion: Suggestion, index: number, cursor: LocatedCursor, line: LineAround): CompletionItem {
  const { label, kind, detail, documentation, insert = label, order } = suggestion;
  const newText = cursor.part === 'key' && !line.hasColon ? `${line.lead}${insert}: ` : insert;
  return {
    label,
    kind: KINDS[kind],
    ...(detail === undefined ? {} : { detail }),
    ...(documentation === undefined ? {} : { documentation: { kind: 'markdown', value: documentation } }),
    textEdit: { range: rangeOf(cursor.replaces), newText },
    filterText: `${line.quote}${label}`,
    sortText: `0 ${order ?? ''} ${String(index).padStart(4, '0')}`,
  };
}

/** A key with its colon, and what its value begins with. */
function keyItem(
  { label }: SchemaRow,
  index: number,
  { file }: RunDocument,
  cursor: LocatedCursor,
  line: LineAround,
): CompletionItem {
  const { path, methodType = '', replaces } = cursor;
  const at = [...path.slice(0, -1), label];
  const schema = schemaAt(at, methodType);
  const name = file.endsWith('.json') ? JSON.stringify(label) : label;
  const beginning =
    schema === undefined || line.hasColon
      ? { text: line.hasColon ? '' : ': ', asksNext: false }
      : beginningOf(at, schema, cursor, line, file);
  const markdown = isMethodType(at)
    ? methodsMarkdown()
    : schema && optionMarkdown(schema, optionName(at, methodType));
  return {
    label,
    kind: CompletionItemKind.Property,
    ...(markdown === undefined ? {} : { documentation: { kind: 'markdown', value: markdown } }),
    insertTextFormat: InsertTextFormat.Snippet,
    textEdit: { range: rangeOf(replaces), newText: `${line.hasColon ? '' : line.lead}${name}${beginning.text}` },
    filterText: `${line.quote}${label}`,
    sortText: `1 ${String(index).padStart(4, '0')}`,
    ...(beginning.asksNext ? { command: SUGGEST } : {}),
  };
}

function valueItem(row: SchemaRow, index: number, { replaces }: LocatedCursor, line: LineAround): CompletionItem {
  const { label, insert, documentation } = row;
  return {
    label,
    kind: CompletionItemKind.Value,
    ...(documentation === undefined ? {} : { documentation: { kind: 'markdown', value: documentation } }),
    textEdit: { range: rangeOf(replaces), newText: insert },
    filterText: `${line.quote}${label}`,
    sortText: `1 ${String(index).padStart(4, '0')}`,
  };
}

/** The braces that keys can stand in. */
function openingItem({ file }: RunDocument, { path, replaces }: LocatedCursor, line: LineAround): CompletionItem {
  return {
    label: '{ }',
    kind: CompletionItemKind.Struct,
    insertTextFormat: InsertTextFormat.Snippet,
    textEdit: { range: rangeOf(replaces), newText: openingOf(path.slice(0, -1), file) },
    // Whatever is typed there, it is to stand between braces.
    filterText: line.typed === '' ? '{' : line.typed,
    command: SUGGEST,
  };
}

function rangeOf({ line = 1, column = 1, endLine = line, endColumn = column }: Place): Range {
  return {
    start: { line: line - 1, character: column - 1 },
    end: { line: endLine - 1, character: endColumn - 1 },
  };
}
