import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scaffoldRunFile } from '../../../src/config/scaffold.js';
import { METHODS } from '../../../src/methods/registry.js';
import { configOf, problemsOf, runText } from './support.js';

describe('scaffoldRunFile', () => {
  for (const { type, family } of METHODS.filter((method) => !('guides' in method))) {
    it(`${type}: passes the checks and holds the defaults`, () => {
      const text = scaffoldRunFile({ model: './base', train: 'rows.jsonl', method: type });
      assert.deepEqual(problemsOf(text), []);
      const plain = configOf(runText().replace('type: lora', `type: ${type}`));
      const learning_rate = family === 'full' || type === 'lisa' ? 2e-5 : plain.training.learning_rate;
      assert.deepEqual(configOf(text), { ...plain, training: { ...plain.training, learning_rate } });
    });
  }

  it('a method that guides others comes after one, in a list with the options of both', () => {
    const text = scaffoldRunFile({ model: './base', train: 'rows.jsonl', method: 'child_tuning' });
    assert.deepEqual(problemsOf(text), []);
    const short = 'model: ./base\ndata: { train: rows.jsonl }\nmethod: [{ type: lora }, { type: child_tuning }]\n';
    assert.deepEqual(configOf(text), configOf(short));
    assert.match(text, /^method:\n(?: {2}# .*\n)+ {2}- type: lora\n {4}# Rank of the update B·A\.\n {4}r: 8$/m);
    assert.match(text, /^ {2}# Child-Tuning: .*\n(?: {2}# .*\n)+ {2}- type: child_tuning\n/m);
    assert.match(text, /^ {4}p: 0\.3$/m);
    assert.match(text, /^ {4}# batches:$/m);
  });

  it('writes ranks that fit the width of the model', () => {
    const textOf = (method: 'galore' | 'relora' | 'lora', width?: number): string =>
      scaffoldRunFile({ model: 'm', train: 't', method, width });
    assert.match(textOf('galore', 128), /^ {2}rank: 32$/m);
    assert.match(textOf('relora', 128), /^ {2}r: 16$/m);
    for (const width of [undefined, 4096]) {
      assert.match(textOf('galore', width), /^ {2}rank: 128$/m);
      assert.match(textOf('relora', width), /^ {2}r: 128$/m);
    }
    assert.equal(textOf('lora', 16), textOf('lora'));
  });

  it('shows every option with its description', () => {
    const text = scaffoldRunFile({ model: 'm', train: ['a', 'b'], method: 'lora' });
    assert.match(text, /^ {2}# Rank of the update B·A\.\n {2}r: 8$/m);
    assert.match(text, /^ {2}# Stop after this many optimizer steps\. .*\n {2}# max_steps:$/m);
    assert.match(text, /^ {2}train: \[ a, b \]$/m);
    assert.ok(text.split('\n').every((line) => line.length <= 115));
  });

  it('quotes what YAML would read as something else', () => {
    for (const model of ['yes: no', '123', '# x', 'C:\\models\\m', '*a', "it's", 'a\nb', 'null']) {
      assert.equal(configOf(scaffoldRunFile({ model, train: 't', method: 'full' })).model, model);
    }
  });
});
