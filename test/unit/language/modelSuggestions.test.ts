import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { suggestAt } from '../../../src/language/modelSuggestions.js';
import type { Suggestion } from '../../../src/language/runDocument.js';
import type { ConfigPath } from '../../../src/config/tree.js';
import { ROWS, cursorAt, documentOf, runText, workspace, writeLlama } from './modelSupport.js';

const folder = workspace();
const work = path.join(folder, 'work');
const elsewhere = path.join(folder, 'elsewhere');
const COMMIT = 'a'.repeat(40);

before(async () => {
  await writeLlama(path.join(work, 'base'));
  await writeLlama(path.join(work, 'node_modules', 'hidden'));
  await writeLlama(path.join(elsewhere, 'my models', 'small'), { config: { model_type: 'mamba' } });
  await writeFile(path.join(work, 'tiny.gguf'), 'GGUF');
  const repo = path.join(folder, '.hub', 'models--org--cached');
  await writeLlama(path.join(repo, 'snapshots', COMMIT));
  await mkdir(path.join(repo, 'refs'), { recursive: true });
  await writeFile(path.join(repo, 'refs', 'main'), COMMIT);
  await mkdir(path.join(work, 'data'), { recursive: true });
  await writeFile(path.join(work, 'data', 'rows.jsonl'), ROWS);
  await writeFile(path.join(work, 'with space#.csv'), 'prompt,completion\n1,2\n');
  await writeFile(path.join(work, 'package.json'), '{}');
});

const places = { folders: [work], modelFolders: [elsewhere] };

async function suggested(
  at: ConfigPath,
  { text = runText('{ type: lora }'), part = 'value' as 'key' | 'value', name = 'a.peft.yaml' } = {},
): Promise<Suggestion[]> {
  const found = await suggestAt(documentOf(work, text, name), cursorAt(at, part), places);
  return [...found].sort((a, b) => `${a.order}${a.label}`.localeCompare(`${b.order}${b.label}`));
}

const labels = (found: readonly Suggestion[]): string[] => found.map(({ label }) => label);

test('models: folders and GGUF files here, in the folders of the setting, and in the hub’s cache', async () => {
  const found = await suggested(['model']);
  assert.deepEqual(labels(found), ['./base', './tiny.gguf', '../elsewhere/my models/small', 'org/cached']);
  const [base, gguf, other, cached] = found as [Suggestion, Suggestion, Suggestion, Suggestion];
  assert.equal(base.detail, 'llama, 6,088 parameters, 22.5 KiB');
  assert.equal(gguf.detail, 'GGUF, 4 B');
  assert.match(other.detail ?? '', /cannot be used: the model's type is 'mamba'/);
  assert.match(cached.detail ?? '', /^llama/);
  assert.deepEqual(new Set(found.map(({ kind }) => kind)), new Set(['model']));
});

test('in JSON values are quoted', async () => {
  const found = await suggested(['model'], { name: 'a.peft.json' });
  assert.equal(found[0]?.insert, '"./base"');
});

test('data: files below the folder, what YAML would misread in quotes; no settings, no models', async () => {
  const found = await suggested(['data', 'train']);
  assert.deepEqual(
    found.map(({ label, insert, detail }) => [label, insert, detail]),
    [
      ['with space#.csv', "'with space#.csv'", '22 B'],
      ['data/rows.jsonl', undefined, '136 B'],
    ],
  );
  assert.deepEqual(labels(await suggested(['data', 'validation'])), labels(found));
});

test('columns: those of the first rows', async () => {
  const text = runText('{ type: lora }', '', 'train: data/rows.jsonl');
  assert.deepEqual(labels(await suggested(['data', 'columns', 'text'], { text })), ['prompt', 'completion']);
  assert.deepEqual(labels(await suggested(['data', 'task_column'], { text })), ['prompt', 'completion']);
  assert.deepEqual(await suggested(['data', 'columns', 'text'], { part: 'key', text }), []);
});

test('columns: no more of a wide row than anybody reads', async () => {
  const row = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`c${at}`, 'x']));
  await writeFile(path.join(work, 'data', 'wide.jsonl'), `${JSON.stringify(row)}\n`);
  const text = runText('{ type: lora }', '', 'train: data/wide.jsonl');
  const found = labels(await suggested(['data', 'columns', 'text'], { text }));
  assert.deepEqual([found.length, found[0], found.at(-1)], [200, 'c0', 'c199']);
});

test('target_modules: names of the checkpoint, with shape and layers; all-linear where a text stands', async () => {
  const found = await suggested(['method', 0, 'target_modules']);
  assert.deepEqual(labels(found).slice(0, 4), ['all-linear', 'q_proj', 'k_proj', 'v_proj']);
  assert.ok(labels(found).includes('self_attn.q_proj'));
  assert.ok(!labels(found).includes('input_layernorm'));
  const k = found.find(({ label }) => label === 'k_proj');
  assert.deepEqual([k?.detail, k?.insert], ['[4, 8], 12 layers', '[k_proj]']);
  assert.equal(found[0]?.detail, '84 modules');
});

test('in a list: those that are not listed yet, but for the entry that is being written', async () => {
  const text = runText('{ type: lora, target_modules: [q_proj, v_proj] }');
  const found = labels(await suggested(['method', 0, 'target_modules', 1], { text }));
  assert.ok(!found.includes('q_proj') && !found.includes('all-linear'));
  assert.ok(found.includes('v_proj'));
  const in2 = await suggested(['method', 0, 'target_modules', 2], { text });
  assert.equal(in2.find(({ label }) => label === 'k_proj')?.insert, undefined);
});

test('keys of rank_pattern, modules to save with norms, numbers of layers', async () => {
  const keys = await suggested(['method', 0, 'rank_pattern', 'q'], { part: 'key' });
  assert.ok(labels(keys).includes('q_proj'));
  assert.deepEqual(await suggested(['method', 0, 'rank_pattern', 'q_proj']), []);
  assert.ok(labels(await suggested(['method', 0, 'modules_to_save', 0])).includes('input_layernorm'));
  const layers = await suggested(['method', 0, 'layers_to_transform', 0]);
  assert.deepEqual(labels(layers), [...Array(12).keys()].map(String));
});

test('while a bracket is open and the file is no YAML, the model is still found', async () => {
  const text = 'model: ./base  # small\ndata:\n  train: data/rows.jsonl\nmethod:\n  target_modules: [q_proj, "\n';
  assert.equal(documentOf(work, text).parsed.tree, undefined);
  const found = labels(await suggested(['method', 0, 'target_modules', 1], { text }));
  assert.ok(found.includes('k_proj'));
  assert.deepEqual(labels(await suggested(['data', 'columns', 'text'], { text })), ['prompt', 'completion']);
});

test('elsewhere, and without a model, there is nothing to suggest', async () => {
  assert.deepEqual(await suggested(['training', 'max_steps']), []);
  assert.deepEqual(await suggested(['method', 0, 'r']), []);
  const text = runText('{ type: lora }').replace('./base', './none');
  assert.deepEqual(await suggested(['method', 0, 'target_modules'], { text }), []);
});

test('it can be cancelled', async () => {
  const document = documentOf(work, runText('{ type: lora }'));
  await assert.rejects(suggestAt(document, cursorAt(['model']), places, AbortSignal.abort()), {
    name: 'AbortError',
  });
});
