import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADVICE } from '../../../src/config/advice.js';
import { METHODS } from '../../../src/methods/registry.js';
import { language, marked, NEVER } from './languageSupport.js';

async function hover(text: string, name?: string): Promise<string> {
  const { offset, ...open } = marked(text, name);
  return (await language.hover(open, offset, NEVER)) ?? 'nothing';
}

test('an option tells its meaning, what is possible, its default, and advice with its source', async () => {
  const expected =
    /^Rank of the update.*\n\nTakes a whole number from 1 up\.\n\nDefault: `8`\n\n💡 Usual are 4, 8 and 16.*\(Hu et al/s;
  for (const [text, name] of [
    ['method:\n  type: lora\n  r|: 8\n'],
    ['method:\n  type: lora\n  r: 8|\n'],
    ['method:\n  - type: full\n  - type: lora\n    |r: 8\n    bias: none\n'],
    ['method: { type: lora, r|: 8 }\n'],
    ['{ "method": [{ "type": "lora", "|r": 8 }] }', 'a.peft.json'],
  ] as const) {
    assert.match(await hover(text, name), expected, text);
  }
});

test('an option is that of its own method', async () => {
  assert.match(
    await hover('method:\n  - type: adalora\n    |target_r: 8\n  - type: lora\n'),
    /Mean rank of the modules/,
  );
  assert.match(await hover('method:\n  type: child_tuning\n  max_gr|ad_norm: 1\n'), /before they are squared/);
  assert.match(await hover('training:\n  max_gr|ad_norm: 1\n'), /global L2 norm/);
});

test('choices are told one by one', async () => {
  assert.match(
    await hover('training:\n  opt|im: sgd\n'),
    /Takes one of:\n\n\* `adamw`: .*\n\* `sgd`: Gradient descent, with `momentum` if set.*\n\* `adafactor`: .*\n\nDefault: `adamw`$/,
  );
});

test('a method tells what it does and who made it, every method if it is none', async () => {
  for (const text of ['method:\n  type: lo|ra\n', 'method:\n  ty|pe: lora\n', 'method: [{ type: |lora }]\n']) {
    assert.match(await hover(text), /^\*\*LoRA\*\* \(low-rank, plain\).*arxiv\.org\/abs\/2106\.09685/s, text);
  }
  const list = await hover('method:\n  type: lroa|\n');
  for (const { type } of METHODS) assert.match(list, new RegExp(`\`${type}\``));
});

test('sections and what is in lists and patterns are explained', async () => {
  assert.equal(await hover('trai|ning:\n  seed: 1\n'), 'How long and how fast to train.');
  assert.match(await hover('me|thod:\n  type: lora\n'), /^The fine-tuning method and its options/);
  assert.match(
    await hover('method:\n  type: lora\n  rank_pattern:\n    q_|proj: 4\n'),
    /^Ranks that differ from `r`/,
  );
  assert.match(await hover('data:\n  train: [a.jsonl, b|.jsonl]\n'), /^Training data: one file or a list/);
});

test('nothing is said where nothing stands', async () => {
  for (const text of ['# mod|el\n', 'nonsense|: 1\n', 'training:\n  nonsense|: 1\n', '|\nmodel: a\n']) {
    assert.equal(await hover(text), 'nothing', text);
  }
});

test('every piece of advice is shown at an option that there is', async () => {
  for (const [name, { text, source }] of Object.entries(ADVICE)) {
    const [section, option] = name.split('.');
    const type = METHODS.find((each) => each.type === section)?.type;
    const file =
      type === undefined ? `${section}:\n  |${option}: 1\n` : `method:\n  type: ${type}\n  |${option}: 1\n`;
    const shown = await hover(file);
    assert.ok(shown.includes(text) && shown.includes(source), `${name}: ${shown}`);
    if (type !== undefined) {
      const { options } = METHODS.find((each) => each.type === type)!;
      assert.ok(Object.hasOwn(options.properties, option!), name);
    }
  }
});
