import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import type { Estimate } from '../../../src/engines/estimate.js';
import { estimateRows } from '../../../src/engines/estimateText.js';
import { estimateFile } from '../../../src/language/estimateFile.js';
import { ROWS, runText, workspace, writeLlama } from './modelSupport.js';

const folder = workspace();
const TOTAL = 6088;

before(async () => {
  await writeLlama(path.join(folder, 'base'));
  await writeFile(path.join(folder, 'rows.jsonl'), ROWS);
});

async function estimated(method: string, rest = ''): Promise<Estimate> {
  const file = path.join(folder, 'a.peft.yaml');
  await writeFile(file, runText(method, rest));
  const { run, problems } = await loadRunFile(file);
  assert.ok(run, JSON.stringify(problems));
  return estimateFile(run);
}

test('LoRA with AdamW: two slots for each trained number, an adapter of just these numbers', async () => {
  const numbers = 12 * 2 * (8 + 8);
  const found = await estimated('{ type: lora, r: 2, target_modules: [q_proj] }');
  assert.deepEqual([found.trainable, found.total], [numbers, TOTAL]);
  assert.deepEqual(found.memory, {
    weights: TOTAL * 4,
    trainables: numbers * 4,
    gradients: numbers * 4,
    optimizer: numbers * 8,
    state: 0,
  });
  assert.deepEqual(found.results, [{ method: 'lora', what: 'adapter', bytes: numbers * 4 }]);
  assert.match(found.notes[0] ?? '', /^Activations are not in it yet/);
  assert.ok(estimateRows(found).some(([name]) => name === 'Together, without activations'));
});

test('the optimizer’s own needs: none for SGD, rows and columns for Adafactor', async () => {
  const lora = '{ type: lora, r: 2, target_modules: [q_proj] }';
  assert.equal((await estimated(lora, 'training: { optim: sgd }\n')).memory.optimizer, 0);
  const adafactor = await estimated(lora, 'training: { optim: adafactor }\n');
  // A [2, 8] and B [8, 2]: ten numbers each.
  assert.equal(adafactor.memory.optimizer, 12 * 20 * 4);
});

test('LISA keeps gradients and slots of what trains at a time, and writes a whole model', async () => {
  const found = await estimated('{ type: lisa, lisa_activated_layers: 1 }');
  assert.equal(found.trainable, TOTAL);
  assert.ok(found.memory.gradients < TOTAL * 4 && found.memory.gradients > 0);
  assert.equal(found.memory.optimizer, found.memory.gradients * 2);
  assert.deepEqual(found.results, [{ method: 'lisa', what: 'model', bytes: TOTAL * 4 }]);
});

test('FISH Mask: as many numbers as its share, each kept with its place', async () => {
  const found = await estimated('{ type: fish_mask, keep_ratio: 0.5, target_modules: [q_proj] }');
  assert.equal(found.trainable, (12 * 64) / 2);
  assert.equal(found.results[0]?.bytes, found.trainable * 8);
});

test('a method that the model refuses is the problem', async () => {
  await assert.rejects(
    estimated('{ type: lora, target_modules: [q_porj] }'),
    (error: unknown) => error instanceof ProblemError && error.problem.code === 'targets.no-match',
  );
});
