// Whole runs of the embedded engine on small encoders: classes and masked tokens.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { adapterTask } from '../../src/adapters/adapterTask.js';
import { attachAdapter } from '../../src/adapters/attachAdapter.js';
import { inspectAdapter } from '../../src/adapters/inspect.js';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { random } from '../../src/common/random.js';
import type { LoadedRun } from '../../src/config/loadRunFile.js';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import { loadDataset } from '../../src/data/loadDataset.js';
import { resumeNewest } from '../../src/engines/resumeRun.js';
import { knownClasses, openModel } from '../../src/engines/session.js';
import type { OpenedModel } from '../../src/engines/session.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { METHODS } from '../../src/methods/registry.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import { createEvaluator } from '../../src/training/evaluate.js';
import type { Metrics } from '../../src/training/evaluate.js';
import { withVirtualTokens } from '../../src/training/job.js';
import { names, problem, temporaryFolder } from '../support/adapters.js';
import { fixture, readJson } from '../support/fixtures.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted } from './engineModel.js';

const folder = temporaryFolder();
const BARE = fixture('encoders', 'tiny-bert-bare');
const BERT = fixture('encoders', 'tiny-bert');
const WORDS: Readonly<Record<string, readonly string[]>> = {
  joy: ['the sun shines', 'we all laugh', 'a song of joy'],
  rain: ['rain falls', 'clouds and water', 'more water on the roof'],
  sand: ['the dunes are warm', 'sand in the shoes', 'sand in the tea'],
};
const FILLERS = ['the', 'and', 'all', 'for', 'in', 'morning', 'night', 'wind'];
let count = 0;

/** Texts whose class follows from words in them. */
function rows(amount: number, seed: number): string {
  const generator = random(seed, 'classes');
  const one = <T>(of: readonly T[]): T => of[generator.integer(of.length)]!;
  return Array.from({ length: amount }, () => {
    const label = one(Object.keys(WORDS));
    const around = Array.from({ length: 2 + generator.integer(3) }, () => one(FILLERS)).join(' ');
    return `${JSON.stringify({ text: `${one(WORDS[label]!)} ${around}`, label })}\n`;
  }).join('');
}

async function makeRun(model: string, sections: Record<string, unknown>): Promise<LoadedRun> {
  const place = path.join(folder, `run-${++count}`);
  await mkdir(place);
  await writeFile(path.join(place, 'train.jsonl'), rows(120, 1));
  await writeFile(path.join(place, 'validation.jsonl'), rows(24, 2));
  const file = path.join(place, 'small.peft.yaml');
  const config = {
    model,
    data: { train: 'train.jsonl', validation: 'validation.jsonl' },
    method: { type: 'lora', r: 4, lora_alpha: 8 },
    runtime: { threads: 1 },
    ...sections,
  };
  await writeFile(file, JSON.stringify(config));
  const { run, problems } = await loadRunFile(file);
  if (run === undefined) throw new Error(JSON.stringify(problems));
  return run;
}

/** Metrics of a run's validation rows. */
async function measured(
  run: LoadedRun,
  opened: OpenedModel,
  parts: { methods: Attached[]; values: Values },
): Promise<Metrics> {
  const data = await loadDataset(run.config.data, opened.tokenizer, {
    folder: run.folder,
    taskType: opened.model.task,
    classes: knownClasses(opened.model, true),
  });
  const { validation } = withVirtualTokens({ ...data, ...parts, model: opened.model, maxLength: 40 });
  const evaluator = await createEvaluator({
    model: opened.model,
    ...parts,
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    positionLimit: 40,
    batchSize: 8,
  });
  const metrics = await evaluator.evaluate(validation, parts.values);
  await evaluator.dispose();
  return metrics;
}

test('a run learns classes; its adapter holds their head, names and numbers, and merges', async () => {
  const run = await makeRun(BARE, {
    training: { num_train_epochs: 8, learning_rate: 1e-2, metric_for_best_model: 'eval_macro_f1' },
  });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const [coverage] = eventsOf(events, 'coverage');
  assert.deepEqual(coverage!.classes, ['joy', 'rain', 'sand']);
  assert.deepEqual(
    coverage!.modules.slice(-2).map(({ path: name, shape }) => [name, shape]),
    [
      ['classifier.weight', [3, 32]],
      ['classifier.bias', [3]],
    ],
  );
  // Rows are shorter than the default max_length, which is more than the model has positions.
  assert.equal(eventsOf(events, 'plan').length, 1, 'its memory is predicted');
  const evaluations = eventsOf(events, 'evaluation');
  assert.ok(evaluations[0]!.rowAccuracy < 0.6, 'it starts at chance');
  const last = evaluations.at(-1)!;
  assert.ok(last.rowAccuracy > 0.8, String(last.rowAccuracy));
  assert.ok(last.macroF1! > 0.8);
  const [sample] = eventsOf(events, 'sample');
  assert.match(sample!.spans.at(-1)!.text, /^ → (joy|rain|sand)$/);
  const [finished] = eventsOf(events, 'finished');
  assert.equal(finished!.metrics['eval_accuracy'], last.rowAccuracy);
  assert.equal(finished!.metrics['eval_macro_f1'], last.macroF1);

  const adapter = finished!.adapter;
  assert.deepEqual(await readJson(path.join(adapter, 'labels.json')), { labels: ['joy', 'rain', 'sand'] });
  const disk = await readAdapter(adapter);
  assert.deepEqual(adapterTask(disk), { type: 'SEQ_CLS', labels: ['joy', 'rain', 'sand'], classCount: 3 });
  const opened = await openModel(BARE, 0, {}, adapterTask(disk));
  const { method, values, warnings } = await attachAdapter(disk, opened.context);
  assert.deepEqual(warnings, []);
  const own = await measured(run, opened, { methods: [method], values });
  assert.deepEqual([own.rowAccuracy, own.macroF1], [last.rowAccuracy, last.macroF1]);
  const { whole, problems } = await inspectAdapter(adapter);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    whole.map(({ key }) => key),
    ['base_model.model.classifier.weight', 'base_model.model.classifier.bias'],
  );

  const out = path.join(folder, 'merged');
  const runtime = await onnxRuntime({ threads: 1 });
  await mergeAdapter({ ...opened, methods: [method], values, runtime, out });
  const merged = await openModel(out, 0);
  assert.deepEqual(merged.model.classes?.labels, ['joy', 'rain', 'sand']);
  assert.equal(merged.model.classes?.fresh.size, 0);
  const after = await measured(run, merged, { methods: [], values: new Map() });
  assert.ok(Math.abs(after.loss - own.loss) <= 1e-5);

  // A model that tells classes apart keeps them, in its order.
  const again = await makeRun(out, { training: { max_steps: 1 } });
  const second = await emitted(again);
  assert.equal(eventsOf(second.events, 'evaluation')[0]!.rowAccuracy, after.rowAccuracy);
});

test('a whole model that trained is one of its own, with its head and classes', async () => {
  const training = { max_steps: 2, learning_rate: 1e-3 };
  const run = await makeRun(BARE, { method: { type: 'full' }, training });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const [finished] = eventsOf(events, 'finished');
  const written = await openModel(finished!.adapter, 0);
  assert.deepEqual(written.model.classes?.labels, ['joy', 'rain', 'sand']);
  const tensors = [...written.checkpoint.tensors.keys()];
  assert.ok(tensors.every((name) => /^(bert|classifier)\./.test(name)));
  const own = await measured(run, written, { methods: [], values: new Map() });
  assert.equal(own.rowAccuracy, finished!.metrics['eval_accuracy']);
});

for (const method of [
  { type: 'lisa', lisa_activated_layers: 1, lisa_interval_steps: 1 },
  { type: 'galore', rank: 4, update_proj_gap: 2 },
  [{ type: 'lora' }, { type: 'child_tuning', mode: 'D', p: 0.3 }],
  { type: 'lokr', r: 2 },
  { type: 'melora', l_num: 4, r: 1 },
  { type: 'mora', r: 2 },
  { type: 'sltrain', r: 2, sp_ratio: 0.05 },
  { type: 'relora', r: 2, relora: 1 },
  { type: 'cola', r: 2, chain_length: 2 },
  { type: 'lotr', r: 2, share: 'shape', train_factors: false },
  { type: 'fish_mask', keep_ratio: 0.1 },
  [{ type: 'lora' }, { type: 'child_tuning', mode: 'F' }],
  { type: 'learned_mask' },
  { type: 'pafi', keep_ratio: 0.1 },
  { type: 'sam', keep_ratio: 0.1, num_samples: 16 },
  { type: 'bitfit', bias_terms: ['query', 'intermediate', 'head'] },
  { type: 'last_layers', num_layers: 1 },
  { type: 'prompt_tuning', num_virtual_tokens: 3 },
  { type: 'adapter', bottleneck_size: 4 },
  { type: 'intrinsic', intrinsic_dim: 40, head_in_subspace: false },
]) {
  const name = Array.isArray(method)
    ? method.map((each) => Object.values(each).join(' ')).join(' + ')
    : method.type;
  test(`the head trains beside ${name}; loaded and merged they do what was trained`, async () => {
    const run = await makeRun(BARE, { method, training: { max_steps: 3, learning_rate: 1e-2 } });
    const { events, error } = await emitted(run);
    assert.equal(error, undefined);
    const [finished] = eventsOf(events, 'finished');
    const files = await names(finished!.adapter);
    if (files.includes('config.json')) {
      const written = await openModel(finished!.adapter, 0);
      assert.equal(written.model.classes?.fresh.size, 0);
      return;
    }
    const disk = await readAdapter(finished!.adapter);
    const opened = await openModel(BARE, 0, {}, adapterTask(disk));
    const { method: attached, values } = await attachAdapter(disk, opened.context);
    const head = values.get('classifier.weight')!;
    assert.ok(head.some((value) => value !== 0));
    assert.ok(attached.trainables.some(({ variable }) => variable.name === 'classifier.weight'));
    assert.deepEqual((await inspectAdapter(finished!.adapter)).problems, []);
    const parts = { methods: [attached], values };
    const own = await measured(run, opened, parts);
    assert.ok(Math.abs(own.loss - finished!.metrics['eval_loss']!) <= 1e-5, `loaded: ${own.loss}`);
    if (METHODS.find(({ type }) => type === attached.type)?.mergeable !== true) return;
    const out = path.join(run.folder, 'merged');
    await mergeAdapter({ ...opened, ...parts, runtime: await onnxRuntime({ threads: 1 }), out, dtype: 'F32' });
    const merged = await measured(run, await openModel(out, 0), { methods: [], values: new Map() });
    assert.ok(Math.abs(merged.loss - own.loss) <= 1e-5, `merged: ${merged.loss} for ${own.loss}`);
  });
}

test('a head in the subspace: exactly d numbers train, a run that is resumed is exact, and it is evaluated and merged', async () => {
  const sections = {
    method: { type: 'intrinsic', intrinsic_dim: 60 },
    training: { max_steps: 8, learning_rate: 5e-2, save_steps: 2 },
  };
  const alone = await emitted(await makeRun(BARE, sections));
  assert.equal(alone.error, undefined);
  assert.equal(eventsOf(alone.events, 'coverage')[0]!.trainable, 60);
  assert.deepEqual(eventsOf(alone.events, 'coverage')[0]!.classes, ['joy', 'rain', 'sand']);
  const run = await makeRun(BARE, sections);
  let steps = 0;
  await emitted(run, {
    emit: (event) => (steps = event.type === 'step' ? event.step : steps),
    stopRequested: () => steps >= 3,
  });
  const rest = await emitted(run, { resume: await resumeNewest(run) });
  const [one, two] = [alone, rest].map(({ events }) => eventsOf(events, 'finished')[0]!);
  const [first, second] = await Promise.all(
    [one!, two!].map(({ adapter }) => readFile(path.join(adapter, 'adapter_model.safetensors'))),
  );
  assert.ok(first!.equals(second!));
  const disk = await readAdapter(one!.adapter);
  assert.deepEqual([...disk.tensors.keys()].sort(), ['lambda', 'z']);
  const opened = await openModel(BARE, 0, {}, adapterTask(disk));
  const { method, values } = await attachAdapter(disk, opened.context);
  const own = await measured(run, opened, { methods: [method], values });
  assert.ok(Math.abs(own.loss - one!.metrics['eval_loss']!) <= 1e-5, `${own.loss}`);
  const out = path.join(run.folder, 'merged');
  const job = { ...opened, methods: [method], values, runtime: await onnxRuntime({ threads: 1 }), out };
  await mergeAdapter({ ...job, dtype: 'F32' });
  const merged = await measured(run, await openModel(out, 0), { methods: [], values: new Map() });
  assert.ok(Math.abs(merged.loss - own.loss) <= 1e-4, `${merged.loss} for ${own.loss}`);
});

test('a run on masked tokens that is stopped and resumed is the one that ran through', async () => {
  const sections = {
    task_type: 'MASKED_LM',
    training: { max_steps: 9, learning_rate: 1e-2, save_steps: 3, eval_steps: 4 },
  };
  const alone = await emitted(await makeRun(BERT, sections));
  assert.equal(alone.error, undefined);
  const run = await makeRun(BERT, sections);
  let steps = 0;
  const stopped = await emitted(run, {
    emit: (event) => (steps = event.type === 'step' ? event.step : steps),
    stopRequested: () => steps >= 5,
  });
  assert.equal(eventsOf(stopped.events, 'finished')[0]!.reason, 'stopped');
  const rest = await emitted(run, { resume: await resumeNewest(run) });
  assert.equal(rest.error, undefined);
  const adapters = [alone, rest].map(({ events }) => eventsOf(events, 'finished')[0]!.adapter);
  const [one, two] = await Promise.all(
    adapters.map((adapter) => readFile(path.join(adapter, 'adapter_model.safetensors'))),
  );
  assert.ok(one!.equals(two!));
  assert.equal((await readJson(path.join(adapters[0]!, 'adapter_config.json')))['task_type'], null);
  const [first, ...others] = eventsOf(alone.events, 'evaluation');
  assert.ok(others.at(-1)!.loss < first!.loss);
  // The same tokens are masked at each evaluation.
  assert.ok(others.every(({ supervisedTokens }) => supervisedTokens === first!.supervisedTokens));
  const disk = await readAdapter(adapters[0]!);
  const opened = await openModel(BERT, 0, {}, adapterTask(disk));
  assert.equal(opened.model.task, 'MASKED_LM');
});

test('what goes by classes is refused where there are none; a class that was never seen, with its line', async () => {
  const metric = { metric_for_best_model: 'eval_accuracy' };
  const masked = await emitted(await makeRun(BERT, { task_type: 'MASKED_LM', training: metric }));
  assert.ok(problem('training.metric-task', 'eval_accuracy', 'MASKED_LM')(masked.error));
  const answers = await emitted(await makeRun(BARE, { training: { eval_generations: 2 } }));
  assert.ok(problem('training.answers-task', 'eval_generations is 2')(answers.error));
  const run = await makeRun(BARE, {});
  await writeFile(path.join(run.folder, 'validation.jsonl'), '{"text":"the wind","label":"wind"}\n');
  const { error } = await emitted(run);
  assert.ok(problem('data.unseen-label', '"wind"', 'joy')(error));
});
