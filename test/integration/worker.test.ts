// The worker process: what it learned is written whatever becomes of its parent.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import { resumeFolder, resumeNewest } from '../../src/engines/resumeRun.js';
import type { RunEvent } from '../../src/training/events.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const WORKER = path.join(ROOT, 'src/worker.ts');
const ENDLESS = { max_steps: 100_000, per_device_train_batch_size: 4, logging_steps: 1 };

async function runFile(name: string, training: Record<string, unknown>): Promise<string> {
  const run = await makeRun(path.join(folder, name), model, { training });
  return run.file;
}

/** The recorded events of the only run below a run file's folder. */
async function recorded(file: string): Promise<{ folder: string; events: RunEvent[] }> {
  const parent = path.join(path.dirname(file), 'runs/small');
  const [only] = await readdir(parent);
  const text = await readFile(path.join(parent, only!, 'events.jsonl'), 'utf8');
  const events = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunEvent);
  return { folder: path.join(parent, only!), events };
}

/** Waits until a condition holds; a run that never ends fails the test instead of hanging it. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('waited for half a minute');
}

function train(file: string, onEvent: (event: RunEvent, child: ChildProcess) => void): Promise<number | null> {
  const child = fork(WORKER, [], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  child.on('message', (event: RunEvent) => onEvent(event, child));
  child.send({ type: 'train', file });
  // 'exit' may come before the last message.
  return new Promise((resolve) => child.on('close', (code) => resolve(code)));
}

test('its parent is killed during a step: the step is finished and the adapter written', async () => {
  const file = await runFile('orphan', ENDLESS);
  const parent = path.join(folder, 'parent.mjs');
  await writeFile(
    parent,
    `import { fork } from 'node:child_process';
     const child = fork(${JSON.stringify(WORKER)}, [], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
     child.on('message', ({ type }) => { if (type === 'step') process.kill(process.pid, 'SIGKILL'); });
     child.send({ type: 'train', file: ${JSON.stringify(file)} });`,
  );
  await new Promise((resolve) => fork(parent, { stdio: 'ignore' }).on('exit', resolve));
  await until(async () => (await recorded(file)).events.at(-1)!.type === 'finished');
  const run = await recorded(file);
  const last = run.events.at(-1)!;
  assert.ok(last.type === 'finished' && last.reason === 'stopped' && last.steps >= 1);
  assert.ok((await readdir(path.join(run.folder, 'adapter'))).includes('adapter_model.safetensors'));
});

for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends the run after the present step, with its adapter`, async () => {
    const file = await runFile(signal, ENDLESS);
    let last: RunEvent | undefined;
    let signalled = false;
    const code = await train(file, (event, child) => {
      last = event;
      if (event.type === 'step' && !signalled) signalled = child.kill(signal);
    });
    assert.ok(last?.type === 'finished' && last.reason === 'stopped');
    assert.equal(code, 130);
  });
}

test('a run that is still going is not resumed by another process; stopped, it is', async () => {
  const file = await runFile('going', { ...ENDLESS, save_steps: 1 });
  const { run } = await loadRunFile(file);
  let tried: Promise<void> | undefined;
  await train(file, (event, child) => {
    if (event.type !== 'checkpoint') return;
    tried ??= (async () => {
      const isTold = problem('resume.running', `as process ${child.pid}`, 'Stop in its panel');
      const own = (await recorded(file)).folder;
      await assert.rejects(resumeNewest(run!), isTold);
      await assert.rejects(resumeFolder(own), isTold);
      // Left by a process that is gone, or on another machine.
      const note = path.join(own, 'worker.pid');
      const text = await readFile(note, 'utf8');
      for (const other of [`${2 ** 22 + 1} ${hostname()}`, `${child.pid} elsewhere`, 'x']) {
        await writeFile(note, other);
        assert.equal((await resumeFolder(own)).point.folder, own);
      }
      await writeFile(note, text);
    })().finally(() => child.kill('SIGTERM'));
  });
  await tried;
  const { folder: own } = await recorded(file);
  assert.ok(!(await readdir(own)).includes('worker.pid'));
  assert.equal((await resumeNewest(run!)).folder, own);
});

test('a parent that was busy receives every event, the last one too', async () => {
  const file = await runFile('busy', { max_steps: 60, per_device_train_batch_size: 4 });
  const received: RunEvent[] = [];
  const code = await train(file, (event) => {
    // The parent's thread is held while the worker goes on and ends.
    if (event.type === 'started') {
      const until = performance.now() + 3000;
      while (performance.now() < until);
    }
    if (event.type !== 'progress') received.push(event);
  });
  assert.equal(code, 0);
  assert.deepEqual(received, (await recorded(file)).events);
});

test('a run that fails before its coverage tells the warnings of its run file too', async () => {
  const run = await makeRun(path.join(folder, 'early'), model, {
    data: { train: 'train.jsonl', columns: { prompt: 'question' } },
    method: { type: 'lora', r: 2, use_qalora: false },
  });
  let last: RunEvent | undefined;
  const code = await train(run.file, (event) => (last = event));
  assert.equal(code, 1);
  assert.ok(last?.type === 'failed' && last.problem.code.startsWith('data.'), JSON.stringify(last));
  assert.deepEqual(
    (last.others ?? []).map((problem) => [problem.code, problem.severity]),
    [['config.ignored-key', 'warning']],
  );
});
