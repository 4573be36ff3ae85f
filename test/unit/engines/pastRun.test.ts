import assert from 'node:assert/strict';
import { appendFile, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { openPastRun } from '../../../src/engines/pastRun.js';
import type { PastRun } from '../../../src/engines/pastRun.js';
import { temporaryFolder } from '../../support/adapters.js';

const root = temporaryFolder();
let count = 0;

const started = {
  type: 'started',
  time: '2026-01-01T00:00:00Z',
  config: '/w/sql.peft.yaml',
  model: 'm',
  method: 'lora',
  totalSteps: 9,
};
const finished = { type: 'finished', reason: 'completed', adapter: '/a', metrics: {}, steps: 2, seconds: 1 };
const step = (number: number): object => ({ type: 'step', step: number, loss: 1 });
const dead = () => Promise.resolve(false);
const alive = () => Promise.resolve(true);

const text = (lines: readonly (object | string)[]): string =>
  lines.map((line) => (typeof line === 'string' ? line : `${JSON.stringify(line)}\n`)).join('');

async function folderOf(...lines: readonly (object | string)[]): Promise<string> {
  const folder = path.join(root, String(++count));
  await mkdir(folder);
  await writeFile(path.join(folder, 'events.jsonl'), text(lines));
  return folder;
}

const append = (run: PastRun, ...lines: readonly (object | string)[]): Promise<void> =>
  appendFile(path.join(run.folder, 'events.jsonl'), text(lines));

test('a run has its events and the state that it ended in', async () => {
  const folder = await folderOf(started, step(1), step(2), finished);
  const run = await openPastRun(folder, dead);
  assert.deepEqual(run.events(), [started, step(1), step(2), finished]);
  assert.deepEqual(run.state(), {
    kind: 'finished',
    file: '/w/sql.peft.yaml',
    began: Date.parse(started.time),
    ended: (await stat(path.join(folder, 'events.jsonl'))).mtimeMs,
    result: finished,
  });
});

test('a run that failed keeps its problem', async () => {
  const problem = { code: 'x', message: 'the loss is not finite' };
  const run = await openPastRun(await folderOf(started, { type: 'failed', problem, others: [problem] }), dead);
  const state = run.state();
  assert.deepEqual(state.kind === 'failed' && [state.problem, state.others], [problem, [problem]]);
});

test('a run that was killed, also after it was resumed, says so; half a line is passed over', async () => {
  for (const before of [[], [finished]]) {
    const folder = await folderOf(
      started,
      { type: 'checkpoint', step: 2, folder: '/c' },
      ...before,
      { ...started, resumedFrom: 2 },
      '{"type":"step","st',
    );
    const run = await openPastRun(folder, dead);
    const state = run.state();
    assert.ok(state.kind === 'failed');
    assert.equal(state.problem.code, 'run.interrupted');
    assert.match(state.problem.mend ?? '', /step 2/);
    assert.equal(run.events().length, before.length + 3);
  }
});

test('a record is followed as it grows, also within a line', async () => {
  const run = await openPastRun(await folderOf(started), alive);
  assert.equal(run.state().kind, 'running');
  await append(run, step(1), '{"type":"step",');
  assert.deepEqual((await run.read()).events, [step(1)]);
  await append(run, '"step":2}');
  assert.deepEqual((await run.read()).events, [{ type: 'step', step: 2 }], 'a whole object needs no line end');
  await append(run, '\n', step(3), { type: 'paused', step: 3, time: started.time });
  assert.equal((await run.read()).events.length, 2);
  assert.equal(run.state().kind, 'paused');
  await append(run, { type: 'continued', step: 3, seconds: 1 });
  await run.read();
  assert.equal(run.state().kind, 'running');
  assert.deepEqual((await run.read()).events, [], 'nothing comes twice');
  await append(run, finished);
  await run.read();
  assert.equal(run.state().kind, 'finished');
  assert.equal(run.events().length, 7);
});

test('a record that is written anew is read from its beginning', async () => {
  const folder = await folderOf(started, step(1), step(2), finished);
  const run = await openPastRun(folder, dead);
  await writeFile(path.join(folder, 'events.jsonl'), text([started, step(1)]));
  const { again, events } = await run.read();
  assert.ok(again);
  assert.deepEqual(events, [started, step(1)]);
  assert.deepEqual(run.events(), events);
  assert.equal(run.state().kind, 'failed');
});

test('a record longer than what is read at once', async () => {
  const message = 'ü'.repeat(1000);
  const lines = Array.from({ length: 2000 }, () => ({ type: 'log', level: 'info', message }));
  const reader = await openPastRun(await folderOf(started, ...lines, step(1)), dead);
  assert.deepEqual(reader.events().at(-1), step(1));
  assert.deepEqual(reader.events().at(-2), lines[0]);
});

test('a folder without a record, or whose record goes, says what is missing', async () => {
  const noRecord = (error: unknown): boolean =>
    error instanceof ProblemError && error.problem.code === 'run.no-record';
  await assert.rejects(openPastRun(path.join(root, 'nowhere'), dead), noRecord);
  const run = await openPastRun(await folderOf(started), dead);
  await rm(run.folder, { recursive: true });
  await assert.rejects(run.read(), noRecord);
});

test('a run that was moved has its adapter where it lies now; another place stays what it is', async () => {
  const adapterOf = async (adapter: string): Promise<unknown> => {
    const folder = await folderOf({ ...started, folder: '/old/run' }, { ...finished, adapter });
    const state = (await openPastRun(folder, dead)).state();
    return state.kind === 'finished' && path.relative(folder, state.result.adapter);
  };
  assert.equal(await adapterOf('/old/run/adapter'), 'adapter');
  assert.match(String(await adapterOf('/old/run/../other')), /old\/other$|old\/run\/\.\.\/other$/);
  assert.match(String(await adapterOf('/a')), /^\.\..*\/a$/);
});

test('what is written is not to be seen before whoever reads is told of it', async () => {
  let look = (): void => undefined;
  const run = await openPastRun(await folderOf(started), () => {
    look();
    return Promise.resolve(true);
  });
  await append(run, { type: 'log', level: 'info', message: 'once' });
  let seen = -1;
  look = () => (seen = run.events().length);
  const { events } = await run.read();
  assert.deepEqual([seen, events.length, run.events().length], [1, 1, 2]);
});
