// Runs of adapters from run files: what is prepared, saved and read again.
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { adapterTask } from '../../src/adapters/adapterTask.js';
import { findAdapter } from '../../src/adapters/findAdapters.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import type { RunControl } from '../../src/engines/engine.js';
import { maskOf } from '../../src/engines/maskOf.js';
import type { RunEvent } from '../../src/training/events.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { fixture, largestDifference, readJson } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { document, run as runCli } from '../unit/cli/support.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeModel, makeRun, rows } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const TRAINING = { max_steps: 4, eval_steps: 2, per_device_train_batch_size: 4, learning_rate: 1e-2 };

/** Rows of two tasks. */
function taskRows(count: number, seed: number): string {
  const lines = rows(count, seed).trim().split('\n');
  return lines.map((line, at) => line.replace(/}$/, `,"task":"${at % 2 === 0 ? 'even' : 'odd'}"}`)).join('\n');
}

async function trained(
  name: string,
  method: unknown,
  data: object = {},
  control: Partial<RunControl> = {},
): ReturnType<typeof emitted> {
  const own = path.join(folder, name);
  const files = { train: 'tasks.jsonl', validation: 'held.jsonl', ...data };
  await mkdir(own, { recursive: true });
  await writeFile(path.join(own, 'tasks.jsonl'), taskRows(16, 1));
  await writeFile(path.join(own, 'held.jsonl'), taskRows(6, 2));
  return emitted(await makeRun(own, model, { method, training: TRAINING, data: files }), control);
}

test('one run file: adapters of two tasks and their fusion; then a fusion of what it left, by path', async () => {
  const both = await trained('both', { type: 'adapter_fusion', bottleneck_size: 4 }, { task_column: 'task' });
  assert.equal(both.error, undefined);
  const [finished] = eventsOf(both.events, 'finished');
  assert.deepEqual((await readdir(finished!.adapter)).filter((name) => !name.includes('token')).sort(), [
    'README.md',
    'adapter_config.json',
    'adapter_setup.json',
    'even',
    'even,odd',
    'odd',
  ]);
  const shares = eventsOf(both.events, 'attention').at(-1)!;
  assert.deepEqual([...new Set(shares.sites.map(({ task }) => task))], ['even', 'odd']);
  const listed = await findAdapter(finished!.adapter);
  assert.deepEqual([listed?.method, listed?.problem], ['adapter_fusion', undefined]);

  const adapters = ['even', 'odd'].map((task) =>
    path.relative(path.join(folder, 'again'), path.join(finished!.adapter, task)),
  );
  const again = await trained('again', { type: 'adapter_fusion', adapters });
  assert.equal(again.error, undefined);
  const opened = await openModel(model);
  for (const { events } of [both, again]) {
    const adapter = await attachAdapter(opened, eventsOf(events, 'finished')[0]!.adapter);
    const logits = await logitsOf(opened, [[5, 6, 7, 8]], adapter);
    assert.ok(logits.every(Number.isFinite));
  }
  const wrong = await trained('wrong', { type: 'adapter_fusion', adapters: ['./none'] });
  assert.ok(problem('adapter.folder-not-found')(wrong.error), String(wrong.error));
});

const ALONG = { type: 'adapter_fusion', stage1: 'MT-A', bottleneck_size: 4 };

test('MT-A writes the changed base beside the adapters, which load on it and on no other', async () => {
  const { events, error } = await trained('along', ALONG, { task_column: 'task' });
  assert.equal(error, undefined);
  const { adapter } = eventsOf(events, 'finished')[0]!;
  const changed = path.join(path.dirname(adapter), 'model');
  assert.equal((await readAdapter(adapter)).baseModel, changed);
  const [original, base] = [await openModel(model), await openModel(changed)];
  for (const part of [adapter, path.join(adapter, 'even'), path.join(adapter, 'odd')]) {
    await assert.rejects(attachAdapter(original, part), problem('adapter.trained-base', changed, 'MT-A'));
    const loaded = await attachAdapter(base, part);
    assert.deepEqual(loaded.warnings, []);
    const rows = [[5, 6, 7, 8]];
    assert.ok(largestDifference(await logitsOf(base, rows, loaded), await logitsOf(base, rows)) > 0);
  }
  // The held-out loss of the run's end is that of what it wrote.
  const own = path.join(folder, 'along');
  const file = path.join(own, 'changed.peft.yaml');
  await writeFile(
    file,
    JSON.stringify({ ...(await readJson(path.join(own, 'small.peft.yaml'))), model: changed }),
  );
  const measured = await runCli(['evaluate', file, '--adapter', adapter, '--json']);
  assert.equal(measured.code, 0, measured.err);
  const loss = Number(document(measured)['loss']);
  const told = eventsOf(events, 'evaluation').at(-1)!.loss;
  assert.ok(Math.abs(loss - told) <= 1e-5 * told, `${loss}, ${told}`);

  const adapters = ['even', 'odd'].map((task) => path.join(adapter, task));
  const refused = await trained('fused-wrong', { type: 'adapter_fusion', adapters });
  assert.ok(problem('adapter.trained-base')(refused.error), String(refused.error));
});

test('MT-A of a classifier: the base is written as a whole one, with its head', async () => {
  const own = path.join(folder, 'classes');
  await mkdir(own, { recursive: true });
  const texts = Array.from({ length: 12 }, (_, at) =>
    JSON.stringify({ text: `the ${at} sun`, label: ['joy', 'rain', 'sand'][at % 3], task: 'ab'[at % 2] }),
  );
  await writeFile(path.join(own, 'texts.jsonl'), texts.join('\n'));
  const bare = fixture('encoders/tiny-bert-bare');
  const run = await makeRun(own, bare, {
    task_type: 'SEQ_CLS',
    data: { train: 'texts.jsonl', validation: 'texts.jsonl', task_column: 'task' },
    method: ALONG,
    training: TRAINING,
  });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const { adapter } = eventsOf(events, 'finished')[0]!;
  const task = adapterTask(await readAdapter(adapter));
  await attachAdapter(await openModel(path.join(path.dirname(adapter), 'model'), task), adapter);
  await assert.rejects(attachAdapter(await openModel(bare, task), adapter), problem('adapter.trained-base'));
});

test('MT-A stopped in its first stage: adapters of the tasks, and the base as it was then', async () => {
  let steps = 0;
  const control = {
    stopRequested: () => steps > 0,
    emit: ({ type }: RunEvent): void => void (steps += Number(type === 'step')),
  };
  const { events, error } = await trained('stopped', ALONG, { task_column: 'task' }, control);
  assert.equal(error, undefined);
  const run = eventsOf(events, 'started')[0]!.folder;
  const base = await openModel(path.join(run, 'model'));
  for (const task of ['even', 'odd']) {
    const part = path.join(run, 'adapter', task);
    assert.equal((await readAdapter(part)).baseModel, path.join(run, 'model'));
    await attachAdapter(base, part);
  }
});

test('a sparse adapter: its masks are told, drawn and saved as zeros', async () => {
  const { events, error } = await trained('sparse', { type: 'adapter', bottleneck_size: 4, sparsity: 0.5 });
  assert.equal(error, undefined);
  const masks = eventsOf(events, 'masks').at(-1)!;
  const [first] = masks.sites;
  const run = eventsOf(events, 'started')[0]!.folder;
  const mask = await maskOf(run, first!.path, first!.shape!);
  assert.equal(mask.indices.length, Math.round(first!.density * 4 * 32));
  const opened = await openModel(model);
  const { values } = await attachAdapter(opened, eventsOf(events, 'finished')[0]!.adapter);
  const kept = new Set(mask.indices);
  values.get(first!.path)!.forEach((value, at) => assert.equal(value === 0, !kept.has(at)));
});

test('CIAT and adapters of tasks: a folder for each', async () => {
  for (const type of ['ciat', 'adapter']) {
    const { events, error } = await trained(type, { type, bottleneck_size: 4 }, { task_column: 'task' });
    assert.equal(error, undefined);
    const [finished] = eventsOf(events, 'finished');
    assert.deepEqual((await readdir(finished!.adapter)).sort(), ['even', 'odd']);
  }
});
