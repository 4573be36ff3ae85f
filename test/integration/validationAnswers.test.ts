// What the model answers to validation rows while it learns, on the bundled model.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { attachAdapter } from '../../src/adapters/attachAdapter.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import type { LoadedRun } from '../../src/config/loadRunFile.js';
import { loadDataset } from '../../src/data/loadDataset.js';
import { resumeNewest } from '../../src/engines/resumeRun.js';
import { openModel } from '../../src/engines/session.js';
import { createGenerator } from '../../src/generation/generate.js';
import { generateText } from '../../src/generation/generateText.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import type { RunEvent } from '../../src/training/events.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, rows } from './engineModel.js';

const folder = temporaryFolder();
const model = path.join(ROOT, 'examples/base-model/peft-studio-tiny');
const ANSWERS = 3;
const TOKENS = 12;
const TRAINING = { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 2e-2, eval_steps: 3 };
const ASKED = { ...TRAINING, eval_generations: ANSWERS, eval_generation_tokens: TOKENS };
const LORA = { type: 'lora', r: 4, target_modules: 'all-linear' };
let count = 0;

async function makeRun(sections: Record<string, unknown>): Promise<LoadedRun> {
  const name = `run${++count}`;
  await writeFile(path.join(folder, 'train.jsonl'), rows(16, 1));
  await writeFile(path.join(folder, 'validation.jsonl'), rows(6, 2));
  const file = path.join(folder, `${name}.peft.yaml`);
  const data = { train: 'train.jsonl', validation: 'validation.jsonl', max_length: 64 };
  await writeFile(file, JSON.stringify({ model, data, method: LORA, runtime: { threads: 1 }, ...sections }));
  const { run, problems } = await loadRunFile(file);
  assert.ok(run !== undefined, JSON.stringify(problems));
  return run;
}

/** The rows that were asked, with what `generate` says to them with the adapter of a run. */
async function generated(adapter: string): Promise<string[]> {
  const opened = await openModel(model, 0);
  const { method, values } = await attachAdapter(await readAdapter(adapter), opened.context);
  const { train } = await loadDataset({ train: path.join(folder, 'validation.jsonl') }, opened.tokenizer);
  // As tokens: a text that ends in a space would be cut into others than in training.
  const prompts = train.slice(0, ANSWERS).map(({ ids, supervised }) => ids.slice(0, supervised.indexOf(1)));
  const generator = await createGenerator({
    model: opened.model,
    methods: [method],
    values,
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    positionLimit: 128,
  });
  const texts: string[] = [];
  for (const prompt of prompts) {
    const [row] = await generateText(generator, opened.tokenizer, [prompt], { max_new_tokens: TOKENS });
    texts.push(row!.text);
  }
  await generator.dispose();
  return texts;
}

/** All that training itself told, without times. */
function curve(events: readonly RunEvent[]): unknown[] {
  return events.flatMap((event) =>
    event.type === 'step' || event.type === 'evaluation' || event.type === 'ranks'
      ? [{ ...event, seconds: 0 }]
      : [],
  );
}

async function adapterBytes(events: readonly RunEvent[]): Promise<Buffer> {
  return readFile(path.join(eventsOf(events, 'finished')[0]!.adapter, 'adapter_model.safetensors'));
}

test('answers come with each evaluation, are those of generate, and change nothing', async () => {
  const { events, error } = await emitted(await makeRun({ method: LORA, training: ASKED }));
  assert.equal(error, undefined);
  const told = eventsOf(events, 'generations');
  assert.deepEqual(
    told.map(({ step }) => step),
    [0, 3, 6],
  );
  const types = events.map(({ type }) => type);
  assert.ok(types.indexOf('generations') < types.indexOf('step'), 'the first come before the first step');
  const first = told[0]!.rows;
  assert.deepEqual(
    first.map(({ line }) => line),
    [1, 2, 3],
  );
  assert.ok(first.every(({ prompt }) => /Say \w+:/.test(prompt)));
  assert.ok(first.every(({ prompt, reference }) => prompt.includes(`Say ${reference.trim()}:`)));
  assert.ok(first.every(({ matches }) => !matches));
  const last = told.at(-1)!.rows;
  assert.notDeepEqual(
    last.map(({ answer }) => answer),
    first.map(({ answer }) => answer),
  );
  assert.deepEqual(
    last.map(({ answer }) => answer),
    await generated(eventsOf(events, 'finished')[0]!.adapter),
  );
  for (const { answer, reference, matches } of last) assert.equal(matches, answer.trim() === reference.trim());

  const without = await emitted(await makeRun({ method: LORA, training: TRAINING }));
  assert.equal(eventsOf(without.events, 'generations').length, 0);
  assert.ok(curve(events).length >= 9);
  assert.deepEqual(curve(events), curve(without.events));
  assert.deepEqual(await adapterBytes(events), await adapterBytes(without.events));
});

test('virtual tokens stand before the prompt once', async () => {
  const method = { type: 'prompt_tuning', num_virtual_tokens: 4 };
  const { events, error } = await emitted(await makeRun({ method, training: { ...ASKED, learning_rate: 0.3 } }));
  assert.equal(error, undefined);
  const told = eventsOf(events, 'generations');
  assert.equal(told.length, 3);
  assert.deepEqual(
    told.at(-1)!.rows.map(({ answer }) => answer),
    await generated(eventsOf(events, 'finished')[0]!.adapter),
  );
});

test('a method whose graph changes on the way is answered with by the graph of the day', async () => {
  const method = { type: 'lisa', lisa_activated_layers: 1, lisa_interval_steps: 2 };
  const { events, error } = await emitted(await makeRun({ method, training: { ...ASKED, learning_rate: 5e-3 } }));
  assert.equal(error, undefined);
  const told = eventsOf(events, 'generations');
  assert.equal(told.length, 3);
  assert.ok(!events.some((event) => event.type === 'log' && event.level === 'warning'));
  assert.notDeepEqual(told[1]!.rows, told[0]!.rows);
});

test('a stop ends an answer between two tokens, and the run goes on from there', async () => {
  const run = await makeRun({ method: LORA, training: { ...ASKED, eval_generation_tokens: 200 } });
  let asked = 0;
  let stop = false;
  let steps = 0;
  const stopped = await emitted(run, {
    stopRequested: () => stop,
    emit(event) {
      if (event.type === 'step') steps = event.step;
      // The second token of the answers after step 3.
      if (event.type === 'progress' && event.activity === 'Answering validation rows' && steps === 3) {
        stop = ++asked >= 2;
      }
    },
  });
  assert.equal(stopped.error, undefined);
  assert.equal(eventsOf(stopped.events, 'finished')[0]?.reason, 'stopped');
  assert.equal(asked, 2);
  assert.deepEqual(
    eventsOf(stopped.events, 'generations').map(({ step }) => step),
    [0],
  );
  const runFolder = eventsOf(stopped.events, 'started')[0]!.folder;
  const resume = await resumeNewest(run);
  assert.equal(resume.folder, runFolder);
  const resumed = await emitted(run, { resume });
  assert.equal(resumed.error, undefined);
  const [only, ...more] = eventsOf(resumed.events, 'generations');
  assert.deepEqual([only?.step, only?.rows.length, more.length], [6, ANSWERS, 0]);
  await rm(runFolder, { recursive: true });
});
