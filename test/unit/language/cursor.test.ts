import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cursorAt } from '../../../src/language/cursor.js';
import type { Cursor } from '../../../src/language/runDocument.js';

/** The cursor at the mark `|`. */
function at(marked: string): Cursor | undefined {
  return cursorAt(marked.replace('|', ''), 'a.peft.yaml', marked.indexOf('|'));
}

function brief(marked: string): string {
  const found = at(marked);
  if (found === undefined) return 'nothing';
  const { line, column, endColumn } = found.replaces;
  return `${found.part} ${found.path.join('.')} <${found.typed}> ${line}:${column}-${endColumn}`;
}

const CASES: Readonly<Record<string, readonly [marked: string, expected: string]>> = {
  'an empty file': ['|', 'key  <> 1:1-1'],
  'a key half typed': ['mod|', 'key mod <mod> 1:1-4'],
  'a key below others': ['model: a\nda|\n', 'key da <da> 2:1-3'],
  'within a key': ['mo|del: a\n', 'key model <mo> 1:1-6'],
  'a value yet to come': ['model: |\n', 'value model <> 1:8-8'],
  'a value without a space': ['model:|\n', 'nothing'],
  'within a value': ['model: some/pa|th # note\n', 'value model <some/pa> 1:8-17'],
  'a value with spaces': ['model: my mod|els/a\n', 'value model <my mod> 1:8-19'],
  'a quoted value': ['model: "so|me"\n', 'value model <so> 1:8-14'],
  'a quote not closed': ["model: 'so|\ndata:\n  train: a\n", 'value model <so> 1:8-11'],
  'a key of a section': ['data:\n  |\n', 'key data. <> 2:3-3'],
  'a second key of a section': ['data:\n  train: a\n  val|\n', 'key data.val <val> 3:3-6'],
  'a key between others': ['data:\n  train: a\n  |\n  seed: 1\n', 'key data. <> 3:3-3'],
  'a key half typed between others': ['data:\n  train: a\n  fo|\n  seed: 1\n', 'key data.fo <fo> 3:3-5'],
  'a section between others': ['model: a\n|\ndata:\n  train: b\n', 'key  <> 2:1-1'],
  'a key before others': ['data:\n  |\n  seed: 1\n', 'key data. <> 2:3-3'],
  'a first key of a listed method that has others': ['method:\n  - |\n    r: 8\n', 'key method.0. <> 2:5-5'],
  'a value of a section': ['data:\n  train: |\nmethod:\n  type: lora\n', 'value data.train <> 2:10-10'],
  'one method, a key': ['method:\n  |', 'key method.0. <> 2:3-3'],
  'one method, its type': ['method:\n  type: lo|\n', 'value method.0.type <lo> 2:9-11'],
  'one method, an option': ['method:\n  type: lora\n  lora_|\n', 'key method.0.lora_ <lora_> 3:3-8'],
  'listed methods, an option': ['method:\n  - type: full\n  - type: lora\n    r|\n', 'key method.1.r <r> 4:5-6'],
  'a first key of a listed method': ['method:\n  - |\n', 'key method.0. <> 2:5-5'],
  'an entry of a list in brackets': [
    'method:\n  type: lora\n  target_modules: [q_proj, v|]\n',
    'value method.0.target_modules.1 <v> 3:28-29',
  ],
  'brackets not closed': ['method:\n  target_modules: [q_proj, |\n', 'value method.0.target_modules.1 <> 2:28-28'],
  'an entry of a list with dashes': [
    'method:\n  type: lora\n  target_modules:\n    - q_proj\n    - |\n',
    'value method.0.target_modules.1 <> 5:7-7',
  ],
  'a pattern of a mapping': ['method:\n  rank_pattern:\n    q_|\n', 'key method.0.rank_pattern.q_ <q_> 3:5-7'],
  'a pattern yet to come': ['method:\n  rank_pattern:\n    |\n  r: 8\n', 'key method.0.rank_pattern. <> 3:5-5'],
  braces: ['method: { type: lora, r| }\n', 'key method.0.r <r> 1:23-24'],
  'a mapping in braces': [
    'method:\n  rank_pattern: { "q_p|": 4 }\n',
    'key method.0.rank_pattern.q_p <q_p> 2:19-24',
  ],
  'a comment': ['model: a # some |thing\n', 'nothing'],
  'a line of comment': ['# |\nmodel: a\n', 'nothing'],
  JSON: ['{\n  "model": "a|",\n  "data": { "train": "b" }\n}\n', 'value model <a> 2:12-15'],
  'windows line ends': ['model: a\r\ndata:\r\n  train: b|\r\n', 'value data.train <b> 3:10-11'],
};

for (const [title, [marked, expected]] of Object.entries(CASES)) {
  test(`cursor: ${title}`, () => assert.equal(brief(marked), expected));
}
