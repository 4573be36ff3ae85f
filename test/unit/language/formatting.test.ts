import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { scaffoldRunFile } from '../../../src/config/scaffold.js';
import { plainValue } from '../../../src/config/tree.js';
import { METHODS } from '../../../src/methods/registry.js';
import { language } from './languageSupport.js';

async function format(text: string, file = '/nowhere/a.peft.yaml'): Promise<string> {
  const edits = await language.format({ file, text });
  return TextDocument.applyEdits(TextDocument.create(file, 'yaml', 0, text), [...edits]);
}

test('a file is laid out, its comments and values kept', async () => {
  const text =
    '# why\nmodel:   a # note\ndata:  {train:  x.jsonl}\n\n\n\nmethod:\n    type: lora\n    # these\n    target_modules:   [q_proj,v_proj]\n';
  const expected =
    '# why\nmodel: a # note\ndata: { train: x.jsonl }\n\nmethod:\n  type: lora\n  # these\n  target_modules: [q_proj, v_proj]\n';
  assert.equal(await format(text), expected);
});

test('what is laid out stays as it is, and says what it said: scaffolds of all methods, badly indented too', async () => {
  for (const { type } of METHODS) {
    const scaffold = scaffoldRunFile({ model: './a model', train: ['a.jsonl', 'b: c.jsonl'], method: type });
    // A dash counts as indentation, so what is in a list is not indented farther by its spaces alone.
    const spaced = scaffold.replace(/: (?=\S)/g, ':   ');
    const wide = /^ *- /m.test(scaffold) ? spaced : spaced.replace(/^( +)(?=\S)/gm, '$1$1');
    for (const text of [scaffold, wide]) {
      const once = await format(text);
      assert.equal(await format(once), once, type);
      const [before, after] = [text, once].map((each) => parseRunFile(each, 'a').tree);
      assert.ok(before && after);
      assert.deepEqual(plainValue(after), plainValue(before), type);
      const comments = (each: string): number =>
        each.split('\n').filter((line) => line.trimStart().startsWith('#')).length;
      assert.equal(comments(once), comments(text), type);
    }
    assert.notEqual(await format(wide), wide, type);
  }
});

test('a file that is half typed is left alone, and so is JSON', async () => {
  for (const text of [
    'model: [a\ndata:',
    'model: "a\n',
    'training:\n    lea\n',
    'method:\n   lora\n',
    'model:   a\n  data: 3\n x',
    'a:   1\na:   2\n',
    '',
  ]) {
    assert.equal(await format(text), text);
  }
  assert.equal(await format('{ "model":   "a" }', '/nowhere/a.peft.json'), '{ "model":   "a" }');
});
