import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { trainableOf } from '../../../src/language/trainable.js';
import { ROWS, documentOf, runText, workspace, writeLlama } from './modelSupport.js';

const folder = workspace();
const TOTAL = 6088;

before(async () => {
  await writeLlama(path.join(folder, 'base'));
  await writeFile(path.join(folder, 'rows.jsonl'), ROWS);
});

const counted = async (method: string, rest = '') => trainableOf(documentOf(folder, runText(method, rest)));

test('the numbers that each method trains', async () => {
  const q = 8 * 8;
  const counts = {
    '{ type: lora, r: 2, target_modules: [q_proj] }': 12 * 2 * (8 + 8),
    '{ type: lora, r: 2, target_modules: [q_proj], modules_to_save: [norm] }': 12 * 2 * (8 + 8) + 25 * 8,
    '{ type: adalora, init_r: 3, target_r: 2, target_modules: [q_proj], modules_to_save: [model.norm] }':
      12 * 3 * (8 + 8 + 1) + 8,
    '{ type: adalora, init_r: 3, target_r: 2, target_modules: [q_proj] }': 12 * 3 * (8 + 8 + 1),
    '{ type: fish_mask, keep_ratio: 0.5, target_modules: [q_proj] }': (12 * q) / 2,
    '{ type: full }': TOTAL,
    '{ type: prompt_tuning, num_virtual_tokens: 4 }': 4 * 8,
    '{ type: adapter, bottleneck_size: 2 }': 12 * (2 * 2 * 8 + 8 + 2),
    '{ type: adapter, bottleneck_size: 2, sparsity: 0.25 }': 12 * (0.75 * 2 * 2 * 8 + 8 + 2),
  };
  for (const [method, trainable] of Object.entries(counts)) {
    assert.deepEqual(await counted(method), { trainable, total: TOTAL }, method);
  }
});

test('methods together: the sum; one that guides adds nothing', async () => {
  const lora = '{ type: lora, r: 2, target_modules: [q_proj] }';
  assert.deepEqual(await counted(`[${lora}, { type: child_tuning }]`), { trainable: 12 * 2 * 16, total: TOTAL });
});

test('numbers of each task that rows name; for how many, where not all rows were read', async () => {
  const row = (task: string, text = 'a'): string => `{"prompt":"${text}","completion":"b","task":"${task}"}\n`;
  const data = 'train: tasks.jsonl, task_column: task';
  const prompt = runText('{ type: prompt_tuning, num_virtual_tokens: 4 }', '', data);
  await writeFile(path.join(folder, 'tasks.jsonl'), row('one') + row('two') + row('one'));
  assert.deepEqual(await trainableOf(documentOf(folder, prompt)), { trainable: 2 * 4 * 8, total: TOTAL });
  await writeFile(path.join(folder, 'tasks.jsonl'), row('one') + row('two', 'a'.repeat(2 ** 21)));
  const least = { trainable: 4 * 8, total: TOTAL, tasks: 1 };
  assert.deepEqual(await trainableOf(documentOf(folder, prompt)), least);
  const lora = runText('{ type: lora, r: 2, target_modules: [q_proj] }', '', data);
  assert.deepEqual(await trainableOf(documentOf(folder, lora)), { trainable: 12 * 2 * 16, total: TOTAL });
});

test('what keeps it from being counted: the problem; no model or no method: nothing', async () => {
  const wrong = await counted('{ type: lora, target_modules: [x_proj] }');
  assert.ok(wrong !== undefined && 'code' in wrong);
  assert.deepEqual([wrong.code, wrong.where?.line], ['targets.no-match', 3]);
  assert.equal(await counted('{ type: lora, r: many }'), undefined);
  const document = documentOf(folder, runText('{ type: lora }').replace('./base', './none'));
  assert.equal(await trainableOf(document), undefined);
});
