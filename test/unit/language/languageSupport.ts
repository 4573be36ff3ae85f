import assert from 'node:assert/strict';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { CompletionItem } from 'vscode-languageserver-types';
import { createLanguage } from '../../../src/language/language.js';
import type { OpenText } from '../../../src/language/language.js';
import type { Fix } from '../../../src/language/fixes.js';

export const language = createLanguage();
export const NEVER = new AbortController().signal;
const PLACES = { folders: [], modelFolders: [] };

/** A text with its cursor at the mark `|`. */
export function marked(text: string, name = 'a.peft.yaml'): OpenText & { readonly offset: number } {
  const offset = text.indexOf('|');
  assert.ok(offset >= 0, 'the text has a mark');
  return { file: `/nowhere/${name}`, text: text.replace('|', ''), offset };
}

export async function complete(text: string, name?: string): Promise<readonly CompletionItem[]> {
  const { offset, ...open } = marked(text, name);
  return language.complete(open, offset, PLACES, NEVER);
}

export async function labels(text: string, name?: string): Promise<readonly string[]> {
  return (await complete(text, name)).map(({ label }) => label);
}

export async function itemOf(text: string, label: string, name?: string): Promise<CompletionItem> {
  const items = await complete(text, name);
  const found = items.filter((item) => item.label === label);
  assert.equal(
    found.length,
    1,
    `${label} is offered ${found.length} times among ${items.map((each) => each.label).join(', ')}`,
  );
  return found[0]!;
}

/** The text after a suggestion is accepted, as the editor does it: with the line's indentation, defaults of the snippet written. */
export async function accepted(text: string, label: string, name?: string): Promise<string> {
  const { textEdit, insertTextFormat } = await itemOf(text, label, name);
  assert.ok(textEdit !== undefined && 'range' in textEdit);
  const { file, text: before } = marked(text, name);
  const document = TextDocument.create(file, 'yaml', 0, before);
  const line = before.split('\n')[textEdit.range.start.line]!;
  const indent = /^\s*/.exec(line.slice(0, textEdit.range.start.character))![0];
  const plain =
    insertTextFormat === 2
      ? textEdit.newText.replace(/\$\{1:((?:[^\\}]|\\.)*)\}|\$1/g, (_, value: string = '') => value)
      : textEdit.newText;
  return TextDocument.applyEdits(document, [
    { range: textEdit.range, newText: plain.replaceAll('\n', `\n${indent}`) },
  ]);
}

/** The text with a fix in it. */
export function mended(text: string, { at, text: replacement }: Fix): string {
  const { line = 1, column = 1, endLine = line, endColumn = column } = at;
  const document = TextDocument.create('a', 'yaml', 0, text);
  const range = {
    start: { line: line - 1, character: column - 1 },
    end: { line: endLine - 1, character: endColumn - 1 },
  };
  return TextDocument.applyEdits(document, [{ range, newText: replacement }]);
}
