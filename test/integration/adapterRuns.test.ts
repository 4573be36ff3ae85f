// Runs of adapters from run files: what is prepared, saved and read again.
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { findAdapter } from '../../src/adapters/findAdapters.js';
import { maskOf } from '../../src/engines/maskOf.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
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

async function trained(name: string, method: unknown, data: object = {}): ReturnType<typeof emitted> {
  const own = path.join(folder, name);
  const files = { train: 'tasks.jsonl', validation: 'held.jsonl', ...data };
  await mkdir(own, { recursive: true });
  await writeFile(path.join(own, 'tasks.jsonl'), taskRows(16, 1));
  await writeFile(path.join(own, 'held.jsonl'), taskRows(6, 2));
  return emitted(await makeRun(own, model, { method, training: TRAINING, data: files }));
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
