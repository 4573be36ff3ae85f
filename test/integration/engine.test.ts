// Whole runs of the embedded engine on a small model folder.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { attachAdapter } from '../../src/adapters/attachAdapter.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import type { LoadedRun } from '../../src/config/loadRunFile.js';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import { loadDataset } from '../../src/data/loadDataset.js';
import { resumeNewest } from '../../src/engines/resumeRun.js';
import { openModel } from '../../src/engines/session.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import { createEvaluator } from '../../src/training/evaluate.js';
import type { RunEvent } from '../../src/training/events.js';
import { names, problem, temporaryFolder } from '../support/adapters.js';
import { readJson } from '../support/fixtures.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeModel, makeRun, rows } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
let count = 0;

const nextFolder = (): string => path.join(folder, `run-${++count}`);
const TRAINING = { num_train_epochs: 2, per_device_train_batch_size: 4, learning_rate: 1e-2 };

async function recorded(run: string): Promise<RunEvent[]> {
  const text = await readFile(path.join(run, 'events.jsonl'), 'utf8');
  assert.ok(text.endsWith('\n'));
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunEvent);
}

/** The folder of the only run of a run file. */
async function runFolder(run: LoadedRun): Promise<string> {
  const parent = path.join(run.folder, 'runs/small');
  const [only, ...others] = await names(parent);
  assert.ok(only !== undefined && others.length === 0);
  return path.join(parent, only);
}

/** Loss of a run's validation rows on a model folder, with or without an adapter. */
async function validationLoss(run: LoadedRun, source: string, adapter?: string): Promise<number> {
  const opened = await openModel(source, run.config.training.seed);
  const { validation } = await loadDataset(run.config.data, opened.tokenizer, { folder: run.folder, seed: 42 });
  const parts: { methods: Attached[]; values: Values } = { methods: [], values: new Map() };
  if (adapter !== undefined) {
    const { method, values } = await attachAdapter(await readAdapter(adapter), opened.context);
    parts.methods.push(method);
    parts.values = values;
  }
  const evaluator = await createEvaluator({
    model: opened.model,
    methods: parts.methods,
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    positionLimit: 64,
    batchSize: 8,
  });
  const { loss } = await evaluator.evaluate(validation, parts.values);
  await evaluator.dispose();
  return loss;
}

test('a LoRA run from file to adapter', async () => {
  const run = await makeRun(nextFolder(), model, { training: TRAINING });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const types = events.map(({ type }) => type);

  assert.equal(types[0], 'started');
  assert.equal(types.at(-1), 'finished');
  const before = types.slice(0, types.indexOf('step'));
  for (const type of ['data', 'sample', 'coverage', 'evaluation', 'ranks'] as const) {
    assert.ok(before.includes(type), `${type} comes before the first step`);
  }
  assert.equal(types.filter((type) => type === 'step').length, 8);
  const [started] = eventsOf(events, 'started');
  const at = await runFolder(run);
  assert.deepEqual([started!.folder, started!.config, started!.totalSteps], [at, run.file, 8]);
  assert.deepEqual([started!.method, started!.model], ['lora', model]);

  const [coverage] = eventsOf(events, 'coverage');
  assert.deepEqual(coverage!.targets, [{ entry: 'all-linear', matched: 14 }]);
  assert.deepEqual([coverage!.layersCovered, coverage!.layers, coverage!.warnings], [2, 2, []]);
  assert.equal(
    coverage!.trainable,
    coverage!.modules.reduce((sum, { shape }) => sum + 4 * (shape[0]! + shape[1]!), 0),
  );
  const [sample] = eventsOf(events, 'sample');
  assert.match(sample!.spans[0]!.text, /^Say \w+: $/);
  assert.deepEqual(
    sample!.spans.map(({ supervised }) => supervised),
    [false, true],
  );

  const recordedEvents = await recorded(at);
  assert.deepEqual(
    recordedEvents,
    events.filter(({ type }) => type !== 'progress'),
    'events.jsonl holds what was told',
  );
  assert.deepEqual(await names(at), ['adapter', 'checkpoint-8', 'events.jsonl', 'run.peft.yaml']);
  const again = await loadRunFile(path.join(at, 'run.peft.yaml'));
  assert.deepEqual(again.problems, []);
  assert.deepEqual(again.run!.config, run.config);

  const [finished] = eventsOf(events, 'finished');
  assert.deepEqual(
    [finished!.reason, finished!.steps, finished!.adapter],
    ['completed', 8, path.join(at, 'adapter')],
  );
  assert.ok((await names(finished!.adapter)).includes('tokenizer.json'));
  const { eval_loss: last, initial_eval_loss: first } = finished!.metrics;
  assert.ok(last! < first!, `${last} after ${first}`);
  assert.ok(Math.abs((await validationLoss(run, model, finished!.adapter)) - last!) <= 1e-5);
  assert.ok(Math.abs((await validationLoss(run, model)) - first!) <= 1e-5);
  assert.ok(finished!.peakMemory > 1e6 && finished!.seconds > 0);
});

test('a list of one method is that method', async () => {
  const lora = { type: 'lora', r: 2, target_modules: ['q_proj'], modules_to_save: ['lm_head'] };
  const run = await makeRun(nextFolder(), model, { method: [lora], training: { ...TRAINING, max_steps: 2 } });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  assert.deepEqual(
    eventsOf(events, 'coverage')[0]!.warnings.map(({ code }) => code),
    ['lora.tied'],
  );
  const [finished] = eventsOf(events, 'finished');
  const loss = await validationLoss(run, model, finished!.adapter);
  assert.ok(Math.abs(loss - finished!.metrics['eval_loss']!) <= 1e-5);
  assert.ok(Math.abs(loss - finished!.metrics['initial_eval_loss']!) > 1e-4);
});

test('full fine-tuning writes a model folder that opens again', async () => {
  const run = await makeRun(nextFolder(), model, {
    method: { type: 'full' },
    training: { ...TRAINING, learning_rate: 1e-3 },
  });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const [finished] = eventsOf(events, 'finished');
  assert.equal(path.basename(finished!.adapter), 'model');
  const config = await readJson(path.join(finished!.adapter, 'config.json'));
  assert.equal(config['tie_word_embeddings'], true);
  const loss = await validationLoss(run, finished!.adapter);
  assert.ok(Math.abs(loss - finished!.metrics['eval_loss']!) <= 1e-5);
  assert.ok(loss < finished!.metrics['initial_eval_loss']!);
  const [coverage] = eventsOf(events, 'coverage');
  assert.equal(coverage!.trainable, coverage!.total);
  assert.ok(Math.abs((await validationLoss(run, model)) - finished!.metrics['initial_eval_loss']!) <= 1e-5);
});

test('stop: the adapter so far is written', async () => {
  let steps = 0;
  const run = await makeRun(nextFolder(), model, { training: TRAINING });
  const { events, error } = await emitted(run, {
    emit: ({ type }) => (steps += type === 'step' ? 1 : 0),
    stopRequested: () => steps >= 3,
  });
  assert.equal(error, undefined);
  const [finished] = eventsOf(events, 'finished');
  assert.deepEqual([finished!.reason, finished!.steps], ['stopped', 3]);
  const found = await validationLoss(run, model, finished!.adapter);
  assert.ok(found < finished!.metrics['initial_eval_loss']!, 'three steps have taught something');
});

test('a stop before the first step leaves no adapter that learned nothing', async () => {
  const run = await makeRun(nextFolder(), model, { training: TRAINING });
  const { events, error } = await emitted(run, { stopRequested: () => true });
  assert.ok(problem('run.stopped-early', 'before its first step')(error));
  assert.ok(!events.some(({ type }) => type === 'finished'));
  assert.deepEqual(await names(await runFolder(run)), ['events.jsonl', 'run.peft.yaml']);
});

test('a run that fails says so in its record and writes no adapter', async () => {
  const poisoned = await makeModel(path.join(folder, 'poisoned'), { poison: 'model.layers.1.self_attn.v_proj' });
  const run = await makeRun(nextFolder(), poisoned, { data: { train: 'train.jsonl' }, training: TRAINING });
  const { events, error } = await emitted(run);
  assert.ok(problem('training.non-finite', 'step 1: the result of model.layers.1.self_attn.v_proj')(error));
  const at = await runFolder(run);
  assert.deepEqual(await names(at), ['events.jsonl', 'run.peft.yaml']);
  const last = (await recorded(at)).at(-1)!;
  assert.ok(last.type === 'failed');
  assert.equal(last.problem.code, 'training.non-finite');
  assert.ok(!events.some(({ type }) => type === 'finished'));
});

test('what cannot begin leaves no folder: wrong targets and schedules, output under a file', async () => {
  const wrong = await makeRun(nextFolder(), model, { method: { type: 'lora', target_modules: ['c_attn'] } });
  const { error, events } = await emitted(wrong);
  assert.ok(problem('targets.no-match', "'c_attn'")(error));
  assert.deepEqual(events, []);
  assert.deepEqual(await names(path.join(wrong.folder, 'runs')), []);

  const long = await makeRun(nextFolder(), model, {
    method: { type: 'adalora', tinit: 3, tfinal: 2 },
    training: { max_steps: 5 },
  });
  const refused = await emitted(long);
  assert.ok(problem('adalora.schedule', 'small.peft.yaml', '5 steps')(refused.error));
  assert.deepEqual(refused.events, []);
  assert.deepEqual(await names(path.join(long.folder, 'runs')), []);

  const blocked = await makeRun(nextFolder(), model, { output: { dir: 'taken/runs' } });
  await writeFile(path.join(blocked.folder, 'taken'), 'a file');
  assert.ok(problem('config.output', 'taken', 'output.dir')((await emitted(blocked)).error));
});

test('a token without an embedding stops the run and names the row', async () => {
  const small = await makeModel(path.join(folder, 'small-vocabulary'), { vocabulary: 270 });
  const run = await makeRun(nextFolder(), small, {});
  await writeFile(path.join(run.folder, 'train.jsonl'), rows(4, 3));
  const { error } = await emitted(run);
  assert.ok(problem('data.token-id', 'train.jsonl', 'embeds 270 tokens')(error), String(error));
});

test('two runs of the same file in one second get folders of their own and the same numbers', async () => {
  const run = await makeRun(nextFolder(), model, { training: { ...TRAINING, max_steps: 2 } });
  const [first, second] = [await emitted(run), await emitted(run)];
  const [a, b] = [first, second].map(({ events }) => eventsOf(events, 'finished')[0]!);
  assert.notEqual(a!.adapter, b!.adapter);
  assert.deepEqual(a!.metrics, b!.metrics);
  const bytes = await Promise.all(
    [a, b].map((each) => readFile(path.join(each!.adapter, 'adapter_model.safetensors'))),
  );
  assert.deepEqual(bytes[0], bytes[1]);
});

const PREPARING = {
  'Child-Tuning over LoRA': [
    { type: 'lora', r: 4, target_modules: 'all-linear' },
    { type: 'child_tuning', p: 0.25 },
  ],
  'FISH Mask': [{ type: 'fish_mask', keep_ratio: 0.02, num_samples: 5 }],
};
for (const [name, method] of Object.entries(PREPARING)) {
  test(`${name}, stopped and taken up again: what it found out is found in the folder`, async () => {
    const training = { ...TRAINING, weight_decay: 0.1 };
    const whole = await makeRun(nextFolder(), model, { method, training });
    const alone = await emitted(whole);
    assert.equal(alone.error, undefined);
    assert.ok(eventsOf(alone.events, 'masks').length > 0);

    const run = await makeRun(nextFolder(), model, { method, training });
    let stop = false;
    const first = await emitted(run, {
      emit: (event) => (stop ||= event.type === 'step' && event.step === 3),
      stopRequested: () => stop,
    });
    assert.equal(eventsOf(first.events, 'finished')[0]!.reason, 'stopped');
    const at = await runFolder(run);
    assert.ok((await names(at)).includes(`prepared-${method.length - 1}.safetensors`));
    const point = await resumeNewest(run);
    assert.deepEqual([point.folder, point.step], [at, 3]);
    const rest = await emitted(run, { resume: point });
    assert.equal(rest.error, undefined);
    assert.equal(eventsOf(rest.events, 'started')[0]!.resumedFrom, 3);
    const bytes = (adapter: string): Promise<Buffer> => readFile(path.join(adapter, 'adapter_model.safetensors'));
    const [one, two] = [alone, rest].map(({ events }) => eventsOf(events, 'finished')[0]!.adapter);
    assert.ok((await bytes(one!)).equals(await bytes(two!)));
  });
}
