import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { hoverAt } from '../../../src/language/modelHover.js';
import type { ConfigPath } from '../../../src/config/tree.js';
import { fixture } from '../../support/fixtures.js';
import { ROWS, cursorAt, documentOf, runText, workspace, writeLlama } from './modelSupport.js';

const folder = workspace();

before(async () => {
  await writeLlama(path.join(folder, 'base'));
  await writeFile(path.join(folder, 'rows.jsonl'), ROWS);
});

async function hover(at: ConfigPath, method = '{ type: lora }', part: 'key' | 'value' = 'value', data?: string) {
  return hoverAt(documentOf(folder, runText(method, '', data)), cursorAt(at, part));
}

test('a model: architecture, layers, sizes, parameters, type of weights', async () => {
  const text = (await hover(['model'])) ?? '';
  for (const row of [
    '| Architecture | `llama` (`LlamaForCausalLM`) |',
    '| Layers | 12 |',
    '| Hidden size | 8 |',
    '| Vocabulary | 16 |',
    '| Parameters | 6,088 (output layer tied to the embedding) |',
    '| Weights | BF16, 22.5 KiB |',
  ])
    assert.ok(text.includes(row), text);
});

test('a GGUF file, under the names of Transformers', async () => {
  const text = runText('{ type: lora }').replace('./base', fixture('decoders', 'tiny-qwen3.gguf'));
  const found = (await hoverAt(documentOf(folder, text), cursorAt(['model']))) ?? '';
  assert.match(found, /\| Architecture \| `qwen3`/);
  assert.match(found, /\(GGUF\) \|/);
  const targets = await hoverAt(documentOf(folder, text), cursorAt(['method', 0, 'target_modules']));
  assert.equal(targets, undefined);
});

test('a target: the modules it matches and what trains in them', async () => {
  const text = await hover(
    ['method', 0, 'target_modules', 1],
    '{ type: lora, r: 4, target_modules: [v_proj, k_proj] }',
  );
  const [head, , first] = (text ?? '').split('\n');
  // 12 layers of r · (in + out).
  assert.equal(head, `\`k_proj\` matches 12 modules in layers 0–11; ${12 * 4 * (8 + 4)} trainable parameters.`);
  assert.equal(first, '- `model.layers.0.self_attn.k_proj` [4, 8]');
  assert.match(text ?? '', /- and 4 more$/);
});

test('a target in layers that are left out is not counted', async () => {
  const method = '{ type: lora, target_modules: [q_proj], layers_to_transform: [2, 3, 7] }';
  assert.match(
    (await hover(['method', 0, 'target_modules', 0], method)) ?? '',
    /matches 3 modules in layers 2–3, 7;/,
  );
});

test('a key of rank_pattern: among the adapted modules', async () => {
  const method = "{ type: lora, r: 1, target_modules: [q_proj, v_proj], rank_pattern: { 'layers\\.1\\..*': 2 } }";
  const text = await hover(['method', 0, 'rank_pattern', 'layers\\.1\\..*'], method, 'key');
  assert.match(text ?? '', /matches 2 modules in layers 1; 56 trainable parameters/);
});

test('modules to save and to leave out', async () => {
  const method =
    '{ type: lora, target_modules: [q_proj], modules_to_save: [norm], exclude_modules: [layers.0.self_attn.q_proj] }';
  assert.match(
    // Two norms in each of 12 layers and the last one.
    (await hover(['method', 0, 'modules_to_save', 0], method)) ?? '',
    /matches 25 modules in layers 0–11; 200 trainable parameters/,
  );
  assert.match(
    (await hover(['method', 0, 'exclude_modules', 0], method)) ?? '',
    /matches 1 module in layers 0\.$/m,
  );
});

test('a pattern that matches nothing, an expression that is none, other options', async () => {
  const method = '{ type: lora, target_modules: [q_porj] }';
  assert.equal(await hover(['method', 0, 'target_modules', 0], method), '`q_porj` matches no module.');
  assert.equal(await hover(['method', 0, 'target_modules'], "{ type: lora, target_modules: '(' }"), undefined);
  assert.equal(await hover(['method', 0, 'r'], '{ type: lora, r: 4 }'), undefined);
  assert.equal(await hover(['method', 0, 'target_modules'], method, 'key'), undefined);
});

test('a data file: rows, columns, and the first row shortened; backticks do not end the block', async () => {
  assert.match((await hover(['data', 'train'])) ?? '', /^4 rows, 136 B\. Columns: `prompt`, `completion`\./);
  const row = { text: `\`\`\`${'x'.repeat(500)}` };
  await writeFile(path.join(folder, 'long.jsonl'), JSON.stringify(row));
  const text = (await hover(['data', 'train'], undefined, 'value', 'train: long.jsonl')) ?? '';
  assert.match(text, /\n````text\ntext: "```x+…\n````$/);
  assert.ok(text.length < 300);
  assert.equal(await hover(['data', 'train'], undefined, 'value', 'train: none.jsonl'), undefined);
});

test('nothing that files hold is markup in a hover', async () => {
  const picture = '![x](https://example.com/x.png)';
  const runOf = (model: string): string => runText('{ type: lora }').replace('./base', model);
  await writeLlama(path.join(folder, 'strange'), { config: { model_type: picture } });
  const refused = (await hoverAt(documentOf(folder, runOf('./strange')), cursorAt(['model']))) ?? '';
  assert.match(refused, /cannot be used/);
  assert.ok(refused.includes('\\!\\[x\\]\\(') && !refused.includes('!['), refused);

  await writeLlama(path.join(folder, 'piped'), { config: { architectures: ['A|B'] } });
  const piped = (await hoverAt(documentOf(folder, runOf('./piped')), cursorAt(['model']))) ?? '';
  assert.ok(piped.includes('(`A\\|B`)'), piped);

  // So many fences that they could not all be arguments of one call, in the name of a column.
  await writeFile(path.join(folder, 'ticks.jsonl'), `${JSON.stringify({ ['` '.repeat(200_000)]: 'a' })}\n`);
  const ticks = (await hover(['data', 'train'], '{ type: lora }', 'value', 'train: ticks.jsonl')) ?? '';
  assert.match(ticks, /^1 rows/);
  assert.ok(ticks.length < 2000, String(ticks.length));
});
