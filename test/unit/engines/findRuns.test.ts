import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findRun, isResumable } from '../../../src/engines/findRuns.js';
import type { FoundRun, RunOnDisk } from '../../../src/engines/findRuns.js';

let root = '';
let count = 0;
before(async () => (root = await mkdtemp(path.join(tmpdir(), 'peft-runs-'))));
after(async () => rm(root, { recursive: true }));

const started = {
  type: 'started',
  config: '/work/sql.peft.yaml',
  model: '/models/tiny',
  method: 'lora',
  totalSteps: 50,
};
const step = (at: number): object => ({ type: 'step', step: at, loss: 1 / at });
const finished = (reason: string): object => ({
  type: 'finished',
  reason,
  adapter: '/a',
  steps: 9,
  seconds: 2,
  metrics: { loss: 0.5 },
});

async function run(events: readonly object[], files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = path.join(root, 'sql', String(++count));
  await mkdir(folder, { recursive: true });
  if (events.length > 0)
    await writeFile(
      path.join(folder, 'events.jsonl'),
      events.map((event) => `${JSON.stringify(event)}\n`).join(''),
    );
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), content);
  }
  return folder;
}

const read = async (folder: string, alive = false): Promise<FoundRun> =>
  (await findRun(folder, () => Promise.resolve(alive)))!;
const stateAfter = async (...events: readonly object[]): Promise<RunOnDisk> =>
  (await read(await run(events))).state;

describe('a run in a list', () => {
  test('is told by its config and by the ends of its events', async () => {
    const coverage = { type: 'coverage', trainable: 1234, targets: [], modules: [], warnings: [] };
    const folder = await run([started, coverage, step(1), step(2), { type: 'evaluation', step: 2, loss: 0.4 }], {
      'run.peft.yaml':
        'model: /models/other\nmethod:\n  - type: child_tuning\n  - type: lora\n    r: 8\noutput: { name: my }\n',
      'checkpoint-2/trainer_state.json': '{}',
      'checkpoint-10/trainer_state.json': '{}',
    });
    const found = await read(folder);
    assert.deepEqual(
      [
        found.name,
        found.file,
        found.base,
        found.method,
        found.rank,
        found.trainable,
        found.loss,
        found.checkpoint,
      ],
      ['my', '/work/sql.peft.yaml', '/models/other', 'child_tuning + lora', 8, 1234, 0.5, 10],
    );
    assert.equal(found.evaluation!.loss, 0.4);
    assert.ok(found.bytes > 200 && found.modified > 0);
  });
  test('without a config is told by its events, and without events by its config', async () => {
    const events = await read(await run([started, step(3)]));
    assert.deepEqual([events.name, events.base, events.method], ['sql', '/models/tiny', 'lora']);
    const config = await read(await run([], { 'run.peft.yaml': 'model: m\n' }));
    assert.deepEqual([config.base, config.state.kind], ['m', 'interrupted']);
  });
  test('whose config is broken says why', async () => {
    const found = await read(await run([started], { 'run.peft.yaml': 'model: [' }));
    assert.match(found.configProblem!.code, /^config\./);
  });
  test('is nothing without either', async () => {
    assert.equal(await findRun(await run([]), () => Promise.resolve(true)), undefined);
    assert.equal(await findRun(path.join(root, 'none'), () => Promise.resolve(true)), undefined);
  });
});

describe('where a run stands', () => {
  test('finished, stopped, failed', async () => {
    const end = { kind: 'finished', adapter: '/a', steps: 9, seconds: 2 };
    assert.deepEqual(await stateAfter(started, step(9), finished('completed')), end);
    assert.deepEqual(await stateAfter(started, step(9), finished('early-stopped')), end);
    const stopped = { kind: 'stopped', adapter: '/a', step: 9 };
    assert.deepEqual(await stateAfter(started, step(9), finished('stopped')), stopped);
    const moved = await run([
      { ...started, folder: '/old' },
      { ...finished('completed'), adapter: '/old/adapter' },
    ]);
    assert.deepEqual((await read(moved)).state, { ...end, adapter: path.join(moved, 'adapter') });
    const problem = { code: 'data.empty', message: 'no rows' };
    assert.deepEqual(await stateAfter(started, { type: 'failed', problem }), {
      kind: 'failed',
      problem,
      others: [],
    });
    const early = { type: 'failed', problem: { code: 'run.stopped-early', message: 'stopped' } };
    assert.deepEqual(await stateAfter(started, early), { kind: 'stopped', adapter: undefined, step: 0 });
  });
  test('with work going on, running; without, interrupted', async () => {
    const folder = await run([started, step(1), step(7)]);
    assert.deepEqual((await read(folder, true)).state, { kind: 'running', step: 7, totalSteps: 50 });
    assert.deepEqual((await read(folder)).state, { kind: 'interrupted', step: 7, totalSteps: 50 });
  });
  test('paused, also when a checkpoint was written meanwhile; until it goes on', async () => {
    const paused = { type: 'paused', step: 7, time: '2026-01-01T00:00:00Z' };
    const folder = await run([started, step(7), paused, { type: 'checkpoint', step: 7, folder: '/c' }]);
    const running = { kind: 'running', step: 7, totalSteps: 50 };
    assert.deepEqual((await read(folder, true)).state, { ...running, paused: true });
    const on = await run([started, step(7), paused, { type: 'continued', step: 7, seconds: 1 }]);
    assert.deepEqual((await read(on, true)).state, running);
  });
  test('resumed after its end, it runs again', async () => {
    const folder = await run([started, step(9), finished('stopped'), { ...started, resumedFrom: 9 }]);
    assert.equal((await read(folder, true)).state.kind, 'running');
  });
  test('half a line after a kill is passed over', async () => {
    const folder = await run([started, step(3)]);
    appendFileSync(path.join(folder, 'events.jsonl'), '{"type":"step","step":4,"lo');
    assert.deepEqual((await read(folder)).state, { kind: 'interrupted', step: 3, totalSteps: 50 });
  });
  test('behind megabytes of events, and a long line at the end', async () => {
    const ranks = {
      type: 'ranks',
      step: 1,
      sites: Array.from({ length: 9000 }, () => ({ path: 'x'.repeat(60) })),
    };
    const folder = await run([started, ranks, ranks, step(5), ranks]);
    assert.deepEqual((await read(folder)).state, { kind: 'interrupted', step: 5, totalSteps: 50 });
  });
  test('it can go on from a checkpoint, unless it has come to its end', async () => {
    const files = { 'checkpoint-5/trainer_state.json': '{}' };
    const can = async (...events: readonly object[]): Promise<boolean> =>
      isResumable(await read(await run([started, ...events], files)));
    assert.equal(await can(step(6)), true);
    assert.equal(await can(finished('stopped')), true);
    assert.equal(await can(finished('completed')), false);
    assert.equal(isResumable(await read(await run([started, step(6)]))), false);
  });
});
