import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HINT } from '../../../src/config/advice.js';
import { isError } from '../../../src/common/problem.js';
import { language } from './languageSupport.js';

function hints(method: string, more = ''): readonly string[] {
  const text = `model: a\ndata: { train: a.jsonl }\nmethod: ${method}\n${more}`;
  const open = { file: '/nowhere/a.peft.yaml', text };
  assert.deepEqual(language.checkText(open).filter(isError), [], 'what is hinted at is possible');
  return language.hints(open).map((problem) => {
    assert.ok(problem.code.startsWith(HINT) && !isError(problem));
    const { line, column, endColumn } = problem.where!;
    return `${problem.code.slice(HINT.length)} at ${text.split('\n')[line! - 1]!.slice(column! - 1, endColumn! - 1)}`;
  });
}

test('values that are far off are hinted at, at the value, and never as errors', () => {
  assert.deepEqual(hints('{ type: lora, r: 512, lora_alpha: 512 }'), ['r at 512']);
  assert.deepEqual(hints('{ type: lora, lora_dropout: 0.6 }'), ['lora_dropout at 0.6']);
  assert.deepEqual(hints('[{ type: prompt_tuning, num_virtual_tokens: 2 }]'), ['num_virtual_tokens at 2']);
  assert.deepEqual(hints('{ type: fish_mask, keep_ratio: 0.9 }'), ['keep_ratio at 0.9']);
});

test('usual values are not, nor those of another method', () => {
  assert.deepEqual(hints('{ type: lora, r: 16, lora_alpha: 32, lora_dropout: 0.1 }'), []);
  assert.deepEqual(hints('{ type: lora }'), []);
  assert.deepEqual(hints('{ type: full }', 'training: { learning_rate: 1 }\n'), []);
});

test('lora_alpha is told by its share of r, with defaults for what is not written', () => {
  assert.deepEqual(hints('{ type: lora, r: 8, lora_alpha: 64 }'), []);
  assert.deepEqual(hints('{ type: lora, r: 8, lora_alpha: 65 }'), ['lora_alpha at 65']);
  assert.deepEqual(hints('{ type: lora, r: 8, lora_alpha: 1 }'), []);
  assert.deepEqual(hints('{ type: lora, r: 16, lora_alpha: 1 }'), ['lora_alpha at 1']);
  assert.deepEqual(hints('{ type: lora, lora_alpha: 100 }'), ['lora_alpha at 100']);
  assert.deepEqual(hints('{ type: lora, r: 128 }'), ['lora_alpha at 128']);
  assert.deepEqual(hints('{ type: lora, r: 1, lora_alpha: 16, use_rslora: true }'), []);
});

test('what cannot be read is left to the checks', () => {
  for (const text of [
    'method: [',
    '',
    'method: { type: lora, r: [1], lora_alpha: x }',
    'method: { type: [lora] }',
    'method: lora',
  ]) {
    assert.deepEqual(language.hints({ file: '/nowhere/a.peft.yaml', text }), [], text);
  }
});
