import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../../src/common/json.js';
import { random } from '../../../src/common/random.js';
import { readYaml } from '../../../src/config/readYaml.js';
import { plainValue } from '../../../src/config/tree.js';
import type { ConfigPath } from '../../../src/config/tree.js';
import { changedText, differenceOf } from '../../../src/language/changeText.js';

type Case = readonly [text: string, path: ConfigPath, value: Json, expected: string, file?: string];

const JSON_FILE = 'a.peft.json';
const BATCH = ['training', 'batch'];

const CASES: Readonly<Record<string, Case>> = {
  'a value where it stands': ['training:\n  batch: 8 # why\n', BATCH, 2, 'training:\n  batch: 2 # why\n'],
  'in braces': ['training: { batch: 8, seed: 1 }\n', BATCH, 2, 'training: { batch: 2, seed: 1 }\n'],
  'in quotes': ["training: { batch: '8' }\n", BATCH, 2, 'training: { batch: 2 }\n'],
  'in JSON': ['{ "training": { "batch": 8 } }', BATCH, 2, '{ "training": { "batch": 2 } }', JSON_FILE],
  'without a value': [
    'training:\n  batch: # later\n  seed: 1\n',
    BATCH,
    2,
    'training:\n  batch: 2 # later\n  seed: 1\n',
  ],
  'a key that is absent': [
    'training:\n  seed: 1 # why\nmethod: a\n',
    BATCH,
    2,
    'training:\n  seed: 1 # why\n  batch: 2\nmethod: a\n',
  ],
  'after a block': [
    'training:\n  a:\n    - 1\n    - 2\n\n# next\nmethod: a\n',
    BATCH,
    2,
    'training:\n  a:\n    - 1\n    - 2\n  batch: 2\n\n# next\nmethod: a\n',
  ],
  'after a key without a value': ['training:\n  a:\nb: 1\n', BATCH, 2, 'training:\n  a:\n  batch: 2\nb: 1\n'],
  'at the end without a line break': ['training:\n  seed: 1', BATCH, 2, 'training:\n  seed: 1\n  batch: 2'],
  'with Windows line ends': [
    'training:\r\n  seed: 1 # a\r\nmethod: a\r\n',
    BATCH,
    2,
    'training:\r\n  seed: 1 # a\r\n  batch: 2\r\nmethod: a\r\n',
  ],
  'with line ends of both kinds': [
    'training:\r\n  seed: 1\nmethod: a\r\n',
    BATCH,
    2,
    'training:\r\n  seed: 1\r\n  batch: 2\nmethod: a\r\n',
  ],
  'absent in braces': ['training: { seed: 1 } # a\n', BATCH, 2, 'training: { seed: 1, batch: 2 } # a\n'],
  'in empty braces': ['training: {}\n', BATCH, 2, 'training: { batch: 2 }\n'],
  'absent in lines of JSON': [
    '{\n  "training": {\n    "seed": 1\n  }\n}\n',
    BATCH,
    2,
    '{\n  "training": {\n    "seed": 1,\n    "batch": 2\n  }\n}\n',
    JSON_FILE,
  ],
  'a section that is absent': ['model: a # b\n', BATCH, 2, 'model: a # b\ntraining:\n  batch: 2\n'],
  'a section that is absent in JSON': [
    '{ "model": "a" }',
    BATCH,
    2,
    '{ "model": "a", "training": { "batch": 2 } }',
    JSON_FILE,
  ],
  'a section without anything': ['training:\nmodel: a\n', BATCH, 2, 'training: { batch: 2 }\nmodel: a\n'],
  'of the only method': ['method: { type: lora }\n', ['method', 0, 'r'], 4, 'method: { type: lora, r: 4 }\n'],
  'of a method of a list': [
    'method:\n  - type: a\n  - type: lora\n    r: 8 # rank\ndata: b\n',
    ['method', 1, 'r'],
    4,
    'method:\n  - type: a\n  - type: lora\n    r: 4 # rank\ndata: b\n',
  ],
  'absent in a method of a list': [
    'method:\n  - type: lora\n    r: 8\n  - type: a\n',
    ['method', 0, 'bias'],
    'none',
    'method:\n  - type: lora\n    r: 8\n    bias: none\n  - type: a\n',
  ],
  'a list by another': [
    'method:\n  save:\n    - a\n    - b\nx: 1\n',
    ['method', 0, 'save'],
    [],
    'method:\n  save:\n    []\nx: 1\n',
  ],
  'a text that needs quotes': ['a: 1\n', ['a'], 'true', "a: 'true'\n"],
};

for (const [name, [text, path, value, expected, file = 'a.peft.yaml']] of Object.entries(CASES)) {
  test(`a change is written where it belongs: ${name}`, () => {
    assert.equal(changedText(text, file, [{ path, value }]), expected);
    if (file === JSON_FILE) JSON.parse(expected);
  });
}

test('several changes at once, and the one stretch that differs', () => {
  const text = 'training:\n  batch: 8\n  seed: 1 # why\nmethod: a\n';
  const after = changedText(text, 'a', [
    { path: BATCH, value: 2 },
    { path: ['training', 'steps'], value: 4 },
  ])!;
  assert.equal(after, 'training:\n  batch: 2\n  seed: 1 # why\n  steps: 4\nmethod: a\n');
  const { at, text: written } = differenceOf(text, after, 'a');
  assert.deepEqual(at, { file: 'a', line: 2, column: 10, endLine: 3, endColumn: 16 });
  assert.equal(written, '2\n  seed: 1 # why\n  steps: 4');
});

test('what cannot be written with certainty is not', () => {
  for (const [text, path] of [
    ['training: 5\n', BATCH],
    ['training: [1, 2]\n', BATCH],
    ['a: [', ['a']],
    ['method: [{ type: a }]\n', ['method', 1, 'r']],
    // The alias stands for the same value elsewhere, which has to stay.
    ['training: &t { batch: 8 }\nother: *t\n', ['training', 'batch']],
    ['', BATCH],
  ] as const) {
    assert.equal(changedText(text, 'a.peft.yaml', [{ path, value: 2 }]), undefined, text);
  }
});

test('the difference applied to the first text is the second (random texts)', () => {
  const draw = random(3, 'difference');
  const some = (): string => Array.from({ length: draw.integer(8) }, () => 'ab\n'[draw.integer(3)]).join('');
  for (let round = 0; round < 300; round += 1) {
    const [before, after] = [some(), some()];
    const { at, text } = differenceOf(before, after, 'a');
    const lines = before.split('\n');
    const offset = (line: number, column: number): number =>
      lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
    const start = offset(at.line!, at.column!);
    const end = offset(at.endLine!, at.endColumn!);
    assert.equal(before.slice(0, start) + text + before.slice(end), after);
  }
});

test('whatever the layout, the change and nothing else is read from the new text (random files)', () => {
  const draw = random(5, 'layout');
  const pick = <T>(values: readonly T[]): T => values[draw.integer(values.length)]!;
  let written = 0;
  for (let round = 0; round < 300; round += 1) {
    const sections = ['training', 'data', 'method'].filter(() => draw.uniform() < 0.7);
    const text = sections
      .map((section) => {
        const keys = ['a', 'b', 'c'].filter(() => draw.uniform() < 0.6);
        const pair = (key: string): string => `${key}: ${pick(['1', "'x'", '[1, 2]', '{ d: 1 }', '# empty'])}`;
        const comment = pick(['', ' # why', '   ']);
        if (keys.length === 0) return `${section}: {}${comment}\n`;
        if (draw.uniform() < 0.3) {
          return `${section}: { ${keys.map((key) => `${key}: ${pick(['1', '"x"', '[1]'])}`).join(', ')} }${comment}\n`;
        }
        const indent = pick(['  ', '    ']);
        return `${section}:${comment}\n${keys.map((key) => `${indent}${pair(key)}\n`).join(pick(['', '\n', '  # c\n']))}`;
      })
      .join(pick(['', '\n', '# between\n']));
    const path = [pick(['training', 'data', 'new']), pick(['a', 'b', 'z'])];
    const changed = changedText(text, 'a.peft.yaml', [{ path, value: 7 }]);
    if (changed === undefined) continue;
    written += 1;
    const before = JSON.parse(JSON.stringify(plainValue(readYaml(text, 'a').root!))) as Record<string, object>;
    const [section, key] = path as [string, string];
    assert.deepEqual(plainValue(readYaml(changed, 'a').root!), {
      ...before,
      [section]: { ...before[section], [key]: 7 },
    });
    const comments = (each: string): number => each.split('#').length;
    assert.equal(comments(changed), comments(text), `${text}---\n${changed}`);
  }
  assert.ok(written > 250, `only ${written} of 300 could be written`);
});
