import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DocumentSymbol } from 'vscode-languageserver-types';
import { language } from './languageSupport.js';

const TEXT = 'model: a\ndata:\n  train: b\nmethod:\n  - type: lora\n    r: 8\n  - type: full\n';
const open = (text: string): { file: string; text: string } => ({ file: '/nowhere/a.peft.yaml', text });

const tree = (symbols: readonly DocumentSymbol[]): unknown =>
  symbols.map(({ name, children = [] }) => (children.length === 0 ? name : [name, tree(children)]));

test('the outline holds every key, methods by their type', () => {
  const symbols = language.symbols(open(TEXT));
  assert.deepEqual(tree(symbols), [
    'model',
    ['data', ['train']],
    [
      'method',
      [
        ['lora', ['type', 'r']],
        ['full', ['type']],
      ],
    ],
  ]);
  const range = symbols[1]!.range;
  assert.deepEqual([range.start.line, symbols[1]!.selectionRange.start.line], [1, 1]);
});

test('sections fold', () => {
  const folds = language.folds(open(TEXT)).map(({ startLine, endLine }) => [startLine, endLine]);
  assert.ok(folds.some(([start, end]) => start === 1 && end === 2));
  assert.ok(folds.some(([start]) => start === 3));
});

test('half a file has an outline too', () => {
  assert.deepEqual(
    language.symbols(open('model: [a\n')).map(({ name }) => name),
    ['model'],
  );
  assert.deepEqual(language.symbols(open('')), []);
  assert.deepEqual(language.folds(open('')), []);
});

test('the line of the method, for its lens', () => {
  assert.equal(language.methodLine(open(TEXT)), 3);
  assert.equal(language.methodLine(open('model: a\n')), undefined);
  assert.equal(language.methodLine(open('model: [')), undefined);
});
