import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { nodeAt, plainValue } from '../../../src/config/tree.js';
import { language, mended } from './languageSupport.js';

/** The texts after each fix of the first problem with this code. */
function fixed(text: string, code: string, name = 'a.peft.yaml'): readonly string[] {
  const open = { file: `/nowhere/${name}`, text };
  const problem = language.checkText(open).find((each) => each.code === code);
  assert.ok(
    problem,
    `${code} among ${language
      .checkText(open)
      .map((each) => each.code)
      .join(', ')}`,
  );
  const fixes = language.fixes(open, problem);
  assert.equal(fixes.filter(({ preferred }) => preferred).length, fixes.length === 0 ? 0 : 1);
  return fixes.map((fix) => mended(text, fix));
}

test('a mistyped key is replaced where it stands, or removed', () => {
  const text = 'method:\n  type: lora\n  lora_alpa: 16 # twice r\n  r: 8\n';
  assert.deepEqual(fixed(text, 'config.unknown-key'), [
    'method:\n  type: lora\n  lora_alpha: 16 # twice r\n  r: 8\n',
    'method:\n  type: lora\n  r: 8\n',
  ]);
});

test('a mistyped value is replaced, quotes and all', () => {
  for (const [text, code, expected] of [
    ['training:\n  optim: adamv # best\n', 'config.unknown-value', 'training:\n  optim: adamw # best\n'],
    ['training: { optim: "adamv" }\n', 'config.unknown-value', 'training: { optim: adamw }\n'],
    ['method: { type: lroa }\n', 'config.unknown-value', 'method: { type: lora }\n'],
    [
      'method: { type: lora, use_rslora: yes }\n',
      'config.wrong-type',
      'method: { type: lora, use_rslora: true }\n',
    ],
    [
      "method: { type: lora, init_lora_weights: 'True' }\n",
      'config.unknown-value',
      'method: { type: lora, init_lora_weights: true }\n',
    ],
  ] as const) {
    assert.deepEqual(fixed(text, code), [expected]);
  }
  assert.deepEqual(fixed("training: { seed: '7' }\n", 'config.wrong-type'), ['training: { seed: 7 }\n']);
  assert.deepEqual(fixed('model: 123\n', 'config.wrong-type'), ["model: '123'\n"]);
});

test('what is written into JSON is JSON', () => {
  for (const [text, code, expected] of [
    ['{ "training": { "optim": "adamv" } }', 'config.unknown-value', '{ "training": { "optim": "adamw" } }'],
    ['{ "training": { "sed": 1 } }', 'config.unknown-key', '{ "training": { "seed": 1 } }'],
    ['{ "model": 123 }', 'config.wrong-type', '{ "model": "123" }'],
    ['{ "training": { "seed": "7" } }', 'config.wrong-type', '{ "training": { "seed": 7 } }'],
    ['{ "training": { "nesterov": "yes" } }', 'config.wrong-type', '{ "training": { "nesterov": true } }'],
    ['{ "method": { "type": "lroa" } }', 'config.unknown-value', '{ "method": { "type": "lora" } }'],
  ] as const) {
    const [first] = fixed(text, code, 'a.peft.json');
    assert.equal(first, expected);
    JSON.parse(first!);
  }
});

/** Texts with the key `fp16`, that can go; the same without it. */
const REMOVALS: Readonly<Record<string, readonly [text: string, expected: string, name?: string]>> = {
  'a line': ['training:\n  seed: 1\n  fp16: true\n  optim: sgd\n', 'training:\n  seed: 1\n  optim: sgd\n'],
  'the last line, with a comment': ['training:\n  seed: 1\n  fp16: true # no\n', 'training:\n  seed: 1\n'],
  'the last line, without its end': ['training:\n  seed: 1\n  fp16: true', 'training:\n  seed: 1\n'],
  'the first line': ['training:\n  fp16: true\n  seed: 1\n', 'training:\n  seed: 1\n'],
  'a block': ['training:\n  fp16:\n    a: 1\n    b: 2\n\n  seed: 1\n', 'training:\n\n  seed: 1\n'],
  'a list': ['training:\n  fp16:\n    - 1\n    - 2\n  seed: 1\n', 'training:\n  seed: 1\n'],
  'without a value': ['training:\n  fp16:\n  seed: 1\n', 'training:\n  seed: 1\n'],
  'the first in braces': ['training: { fp16: true, seed: 1 }\n', 'training: { seed: 1 }\n'],
  'the last in braces': ['training: { seed: 1, fp16: true }\n', 'training: { seed: 1 }\n'],
  'between braces': ['training: { seed: 1, fp16: true, optim: sgd }\n', 'training: { seed: 1, optim: sgd }\n'],
  'alone in braces': ['training: { fp16: true }\n', 'training: {  }\n'],
  'without a value in braces': [
    'training: { seed: 1, fp16: , optim: sgd }\n',
    'training: { seed: 1, optim: sgd }\n',
  ],
  'a line of JSON': [
    '{\n  "training": {\n    "fp16": true,\n    "seed": 1\n  }\n}\n',
    '{\n  "training": {\n    "seed": 1\n  }\n}\n',
    'a.peft.json',
  ],
  'the last line of JSON': [
    '{\n  "training": {\n    "seed": 1,\n    "fp16": true\n  }\n}\n',
    '{\n  "training": {\n    "seed": 1\n  }\n}\n',
    'a.peft.json',
  ],
  'a list in JSON': [
    '{ "training": { "seed": 1, "fp16": [1, 2], "optim": "sgd" } }',
    '{ "training": { "seed": 1, "optim": "sgd" } }',
    'a.peft.json',
  ],
  'windows line ends': ['training:\r\n  fp16: true\r\n  seed: 1\r\n', 'training:\r\n  seed: 1\r\n'],
};

for (const [name, [text, expected, file = 'a.peft.yaml']] of Object.entries(REMOVALS)) {
  test(`a key that can go is removed whole: ${name}`, () => {
    const problem = language
      .checkText({ file: `/nowhere/${file}`, text })
      .find((each) => each.message.includes('fp16'));
    assert.ok(problem);
    const fix = language.fixes({ file: `/nowhere/${file}`, text }, problem).at(-1)!;
    assert.equal(fix.title, 'Remove fp16');
    const after = mended(text, fix);
    assert.equal(after, expected);
    if (file.endsWith('.json')) JSON.parse(after);
    const [before, tree] = [text, after].map((each) => parseRunFile(each, file).tree);
    assert.ok(before && tree);
    const [were, left] = [before, tree].map((each) =>
      Object.entries(plainValue(nodeAt(each, ['training'])!) as object),
    );
    const rest = were!.filter(([key]) => key !== 'fp16');
    assert.deepEqual(left, rest);
  });
}

test('a key is not renamed to one that is there', () => {
  const text = 'training:\n  lr: 1\n  learning_rate: 2\n';
  assert.deepEqual(fixed(text, 'config.unknown-key'), ['training:\n  learning_rate: 2\n']);
});

test('keys of other tools are renamed where one of ours is the same', () => {
  for (const [text, expected] of [
    ['training:\n  lr: 1\n', 'training:\n  learning_rate: 1\n'],
    ['training: { epochs: 2 }\n', 'training: { num_train_epochs: 2 }\n'],
    ['training: { grad_clip: 2 }\n', 'training: { max_grad_norm: 2 }\n'],
    ['method: { type: lora, rank: 4 }\n', 'method: { type: lora, r: 4 }\n'],
    ['method: { type: adalora, r: 4 }\n', 'method: { type: adalora, init_r: 4 }\n'],
    [
      'method: { type: prompt_tuning, num_tokens: 4 }\n',
      'method: { type: prompt_tuning, num_virtual_tokens: 4 }\n',
    ],
    ['base_model: a\n', 'model: a\n'],
  ] as const) {
    assert.equal(fixed(text, 'config.unknown-key')[0], expected);
  }
});

test('what is not at a place of this file has no fix', () => {
  const open = { file: '/nowhere/a.peft.yaml', text: 'model: a\n' };
  const problem = { code: 'config.unknown-key', message: 'x', replacement: 'y' };
  assert.deepEqual(language.fixes(open, problem), []);
  assert.deepEqual(
    language.fixes(open, { ...problem, where: { file: '/b', line: 1, column: 1, endLine: 1, endColumn: 2 } }),
    [],
  );
});
