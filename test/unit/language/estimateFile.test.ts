import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import { contractOf } from '../../../src/engines/estimate.js';
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

async function estimated(method: string, rest = '', data?: string): Promise<Estimate> {
  const file = path.join(folder, 'a.peft.yaml');
  await writeFile(file, runText(method, rest, data));
  const { run, problems } = await loadRunFile(file);
  assert.ok(run, JSON.stringify(problems));
  return estimateFile(run);
}

/** Bytes of a part at the peak. */
function part({ plan }: Estimate, name: string): number {
  return plan.parts.filter((each) => each.name === name).reduce((sum, { bytes }) => sum + bytes, 0);
}

test('LoRA with AdamW: two slots for each trained number, an adapter of just these numbers', async () => {
  const numbers = 12 * 2 * (8 + 8);
  const found = await estimated('{ type: lora, r: 2, target_modules: [q_proj] }');
  assert.deepEqual([found.plan.trainable, found.plan.parameters], [numbers, TOTAL]);
  assert.equal(part(found, 'weights'), TOTAL * 4);
  // Small trainables and their slots have two buffers each.
  assert.equal(part(found, 'adapter'), numbers * 4 * 2);
  assert.equal(part(found, 'optimizer'), numbers * 8 * 2);
  assert.deepEqual(found.results, [{ method: 'lora', what: 'adapter', bytes: numbers * 4 }]);
  assert.ok(part(found, 'activations') > 0);
});

test('the parts add up to the total, in every moment and in the document', async () => {
  const found = await estimated('{ type: lora, r: 2, target_modules: [q_proj] }');
  for (const { bytes, parts } of found.plan.moments) {
    assert.equal(
      bytes,
      parts.reduce((sum, each) => sum + each.bytes, 0),
    );
  }
  const document = contractOf(found);
  const { total, weights, activations, gradients, optimizer, other, fileBacked, anonymous } = document;
  assert.equal(total, weights + activations + gradients + optimizer + other);
  assert.equal(total, fileBacked + anonymous);
  assert.equal(total, Math.max(...found.plan.moments.map(({ bytes }) => bytes)));
  assert.ok(estimateRows(document).some(([name]) => name === 'Together, at the peak (step)'));
});

test('the optimizer’s own needs: none for SGD, rows and columns for Adafactor', async () => {
  const lora = '{ type: lora, r: 2, target_modules: [q_proj] }';
  assert.equal(part(await estimated(lora, 'training: { optim: sgd }\n'), 'optimizer'), 0);
  const adafactor = await estimated(lora, 'training: { optim: adafactor }\n');
  // A [2, 8] and B [8, 2]: ten numbers each, in two buffers.
  assert.equal(part(adafactor, 'optimizer'), 12 * 20 * 4 * 2);
});

test('accumulation keeps sums of the gradients', async () => {
  const lora = '{ type: lora, r: 2, target_modules: [q_proj] }';
  const numbers = 12 * 2 * (8 + 8);
  const apart = await estimated(lora, 'training: { gradient_accumulation_steps: 4 }\n');
  assert.ok(part(apart, 'gradients') >= numbers * 4 * 2);
});

test('LISA: as many layers as the run’s steps let train, and a whole model in the end', async () => {
  const one = await estimated('{ type: lisa, lisa_activated_layers: 1 }', 'training: { max_steps: 5 }\n');
  assert.equal(one.plan.trainable, TOTAL);
  assert.ok(part(one, 'optimizer') < TOTAL * 8 * 2 && part(one, 'optimizer') > 0);
  assert.ok(part(one, 'weights') > 0);
  const all = await estimated('{ type: lisa, lisa_activated_layers: 1, lisa_interval_steps: 1 }');
  assert.equal(part(all, 'weights'), 0);
  assert.ok(part(all, 'adapter') > part(one, 'adapter'));
  assert.deepEqual(one.results, [{ method: 'lisa', what: 'model', bytes: TOTAL * 4 }]);
});

test('FISH Mask: as many numbers as its share, each kept with its place', async () => {
  const found = await estimated('{ type: fish_mask, keep_ratio: 0.5, target_modules: [q_proj] }');
  assert.equal(found.plan.trainable, (12 * 64) / 2);
  assert.equal(found.results[0]?.bytes, found.plan.trainable * 8);
});

test('Child-Tuning keeps a mask of one byte for each number', async () => {
  const found = await estimated('[{ type: lora, r: 2, target_modules: [q_proj] }, { type: child_tuning }]');
  assert.equal(part(found, 'state'), 12 * 2 * (8 + 8));
});

test('rows of several tasks: that one of them is counted is said', async () => {
  const prompt = '{ type: prompt_tuning, num_virtual_tokens: 4 }';
  const notes = async (data?: string): Promise<string> => (await estimated(prompt, '', data)).notes.join('\n');
  assert.match(await notes('train: rows.jsonl, task_column: prompt'), /Counted for one task/);
  assert.doesNotMatch(await notes(), /task/);
});

test('a larger batch and longer rows need more', async () => {
  const lora = '{ type: lora, r: 2, target_modules: [q_proj] }';
  const totals = [];
  for (const rows of [1, 2, 8]) {
    const found = await estimated(lora, `training: { per_device_train_batch_size: ${rows} }\n`);
    totals.push(part(found, 'activations'));
  }
  assert.ok(totals[0]! < totals[1]! && totals[1]! < totals[2]!);
});

test('a method that the model refuses is the problem', async () => {
  await assert.rejects(
    estimated('{ type: lora, target_modules: [q_porj] }'),
    (error: unknown) => error instanceof ProblemError && error.problem.code === 'targets.no-match',
  );
});
