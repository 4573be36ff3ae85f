import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import { contractOf } from '../../../src/engines/estimateDocument.js';
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

test('AdapterFusion with the base along: the larger of its phases counts, and both folders are written', async () => {
  const fusion = 'type: adapter_fusion, bottleneck_size: 2, value: false';
  const [alone, along] = [
    await estimated(`{ ${fusion} }`, 'training: { max_steps: 4 }\n'),
    await estimated(`{ ${fusion}, stage1: MT-A }`, 'training: { max_steps: 4 }\n'),
  ];
  assert.equal(along.plan.trainable, TOTAL + alone.plan.trainable);
  // Adapters and the whole base, in two buffers.
  assert.ok(part(along, 'optimizer') >= TOTAL * 8 * 2, String(part(along, 'optimizer')));
  assert.ok(part(alone, 'optimizer') < part(along, 'optimizer'));
  const bytes = alone.results[0]!.bytes;
  assert.deepEqual(along.results, [
    { method: 'adapter_fusion', what: 'model', bytes: TOTAL * 4 },
    { method: 'adapter_fusion', what: 'adapter', bytes },
  ]);
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

const TASKS = 'train: tasks.jsonl, task_column: task';
/** A row of each task, and further rows up to so many bytes. */
const taskRows = (names: readonly string[], bytes = 0): string =>
  names.map((task) => `{"prompt":"a","completion":"b","task":"${task}"}\n`).join('') +
  `{"prompt":"${'a'.repeat(bytes)}","completion":"b","task":"last"}\n`;

test('rows of several tasks: numbers of each are counted, also in what the optimizer keeps', async () => {
  await writeFile(path.join(folder, 'tasks.jsonl'), taskRows(['one', 'two']));
  const prompt = '{ type: prompt_tuning, num_virtual_tokens: 4 }';
  const [one, three] = [await estimated(prompt), await estimated(prompt, '', TASKS)];
  assert.deepEqual([one.plan.trainable, three.plan.trainable], [4 * 8, 3 * 4 * 8]);
  assert.equal(part(three, 'optimizer'), 3 * part(one, 'optimizer'));
  assert.doesNotMatch(three.notes.join('\n'), /task/);
});

test('where rows lie further behind than is read, that tasks may be missing is said', async () => {
  await writeFile(path.join(folder, 'tasks.jsonl'), taskRows(['one', 'two'], 2 ** 21));
  const prompt = await estimated('{ type: prompt_tuning, num_virtual_tokens: 4 }', '', TASKS);
  assert.equal(prompt.plan.trainable, 2 * 4 * 8);
  assert.match(prompt.notes.join('\n'), /Counted for the 2 tasks that the first rows name/);
  const lora = await estimated('{ type: lora, r: 2, target_modules: [q_proj] }', '', TASKS);
  assert.doesNotMatch(lora.notes.join('\n'), /task/);
  const absent = await estimated('{ type: ciat }', '', 'train: somebody/rows, task_column: task');
  assert.match(absent.notes.join('\n'), /Counted for one task/);
});

test('proxy_tuning: the larger base is counted where held-out rows are evaluated on it', async () => {
  // Of other size: a layer is left out, 2 · 8² + 2 · 4 · 8 + 3 · 12 · 8 + 2 · 8 numbers.
  const last = 'model.layers.11.';
  await writeLlama(path.join(folder, 'large'), {
    config: { num_hidden_layers: 11 },
    without: [
      ...['q', 'k', 'v', 'o'].map((name) => `${last}self_attn.${name}_proj.weight`),
      ...['gate', 'up', 'down'].map((name) => `${last}mlp.${name}_proj.weight`),
      ...['input', 'post_attention'].map((name) => `${last}${name}_layernorm.weight`),
    ],
  });
  const base = TOTAL - 496;
  const method = '{ type: lora, r: 2, target_modules: [q_proj] }';
  const proxy = 'proxy_tuning: { model: ./large }\n';
  const held = 'train: rows.jsonl, validation: rows.jsonl, max_length: 16';
  const [alone, steered] = [await estimated(method, '', held), await estimated(method, proxy, held)];
  const momentOf = ({ plan }: Estimate) => plan.moments.find(({ name }) => name === 'steering');
  assert.equal(momentOf(alone), undefined);
  const weights = momentOf(steered)?.parts.find(({ name }) => name === 'weights')?.bytes;
  assert.equal(weights, 4 * (base + 2 * TOTAL));
  // Both are stored as BF16 and become float32 in the cache.
  assert.equal(steered.converted - alone.converted, 4 * base);
  assert.equal(momentOf(await estimated(method, proxy)), undefined);
  assert.doesNotMatch(steered.notes.join('\n'), /proxy_tuning/);
  const absent = await estimated(method, 'proxy_tuning: { model: somebody/large }\n', held);
  assert.match(absent.notes.join('\n'), /somebody\/large \(proxy_tuning\) is not counted/);
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

test('a run too short for a method is refused, as it is when it trains', async () => {
  const steps = (count: number): string => `training: { max_steps: ${count} }\n`;
  const refused = (code: string) => (error: unknown) =>
    error instanceof ProblemError &&
    error.problem.code === code &&
    error.problem.where?.file === path.join(folder, 'a.peft.yaml');
  await assert.rejects(
    estimated('{ type: lt_sft, ft_params_proportion: 0.1 }', steps(1)),
    refused('lt-sft.schedule'),
  );
  await estimated('{ type: lt_sft, ft_params_proportion: 0.1 }', steps(2));
  const adalora = '{ type: adalora, tinit: 5, tfinal: 5 }';
  await assert.rejects(estimated(adalora, steps(10)), refused('adalora.schedule'));
  await estimated(adalora, steps(11));
});

test('a method that the model refuses is the problem', async () => {
  await assert.rejects(
    estimated('{ type: lora, target_modules: [q_porj] }'),
    (error: unknown) => error instanceof ProblemError && error.problem.code === 'targets.no-match',
  );
});
