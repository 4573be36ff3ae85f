import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { advance, idle } from '../../../src/engines/runState.js';
import type { Happening, RunState } from '../../../src/engines/runState.js';
import { startWorker } from '../../../src/engines/workerRun.js';
import type { WorkerRun } from '../../../src/engines/workerRun.js';

const worker = fileURLToPath(new URL('./scriptedWorker.mjs', import.meta.url));
const started = {
  type: 'started',
  time: '2026-01-01T00:00:00Z',
  version: '0',
  engine: 'embedded',
  config: 'a',
  folder: 'b',
  model: 'm',
  method: 'lora',
  totalSteps: 3,
  seed: 1,
};

let folder = '';
before(async () => (folder = await mkdtemp(path.join(tmpdir(), 'peft-host-'))));
after(async () => rm(folder, { recursive: true }));

interface Played {
  readonly state: RunState;
  readonly kinds: readonly string[];
  readonly printed: readonly string[];
}

/** Plays a script; `when` is called after each happening with the state that it led to. */
async function play(
  script: readonly object[],
  when: (run: WorkerRun, state: RunState) => void = () => undefined,
  program = worker,
): Promise<Played> {
  const file = path.join(folder, 'a.peft.yaml');
  await writeFile(file, script.map((act) => JSON.stringify(act)).join('\n'));
  let state: RunState = idle;
  const kinds: string[] = [];
  const printed: string[] = [];
  let run: WorkerRun | undefined = undefined;
  const tell = (happening: Happening): void => {
    const before = state.kind;
    state = advance(state, happening);
    if (state.kind !== before) kinds.push(state.kind);
    if (run && happening.type === 'event') when(run, state);
  };
  run = startWorker({ worker: program, file, tell, print: (line) => printed.push(line) });
  await run.done;
  return { state, kinds, printed };
}

function finished(adapter: string, reason: 'completed' | 'stopped' = 'completed'): object {
  return { type: 'finished', reason, adapter, metrics: {}, steps: 3, seconds: 1, peakMemory: 1 };
}

describe('startWorker', () => {
  test('a run that ends well goes through starting and running to finished', async () => {
    const adapter = path.join(folder, 'well');
    const { state, kinds, printed } = await play([
      { send: started },
      { stderr: 'a line for the log' },
      { stdout: 'another' },
      { weights: adapter },
      { send: finished(adapter) },
      { exit: 0 },
    ]);
    assert.deepEqual(kinds, ['starting', 'running', 'finished']);
    assert.equal(state.kind === 'finished' && state.result.adapter, adapter);
    assert.equal(state.kind === 'finished' && state.note, undefined);
    assert.deepEqual([...printed].sort(), ['a line for the log', 'another']);
  });

  test('a stop is passed on, and the run ends as stopped with its adapter', async () => {
    const adapter = path.join(folder, 'stopped');
    const { state, kinds } = await play(
      [
        { send: started },
        { await: 'stop' },
        { weights: adapter },
        { send: finished(adapter, 'stopped') },
        { exit: 130 },
      ],
      (run, now) => {
        if (now.kind === 'running') run.stop();
      },
    );
    assert.deepEqual(kinds, ['starting', 'running', 'stopping', 'finished']);
    assert.equal(state.kind === 'finished' && state.result.reason, 'stopped');
    assert.equal(state.kind === 'finished' && state.note, undefined);
  });

  test('"finished" without weights on disk is a failure', async () => {
    const { state } = await play([
      { send: started },
      { send: finished(path.join(folder, 'nowhere')) },
      { exit: 0 },
    ]);
    assert.equal(state.kind === 'failed' && state.problem.code, 'run.nothing-written');
  });

  test('a problem that the worker tells is kept whole', async () => {
    const problem = {
      code: 'config.unknown-key',
      message: 'rnk is no key',
      where: { file: '/x.peft.yaml', line: 4 },
    };
    const other = { code: 'config.type', message: 'r is no number', where: { file: '/x.peft.yaml', line: 9 } };
    const { state, kinds } = await play([{ send: { type: 'failed', problem, others: [other] } }, { exit: 1 }]);
    assert.deepEqual(kinds, ['starting', 'failed']);
    assert.deepEqual(state.kind === 'failed' && state.problem, problem);
    assert.deepEqual(state.kind === 'failed' && state.others, [other]);
  });

  test('a process that dies in silence is named by its signal, and memory is suspected', async () => {
    const { state } = await play([{ send: started }, { signal: 'SIGKILL' }]);
    assert.equal(state.kind, 'failed');
    if (state.kind !== 'failed') return;
    assert.equal(state.problem.code, 'run.process-ended');
    assert.match(state.problem.message, /signal SIGKILL/);
    assert.match(state.problem.mend ?? '', /memory/);
  });

  test('an exit code without a last event is a failure that quotes the last words', async () => {
    const { state } = await play([{ send: started }, { stderr: 'cannot load library' }, { exit: 3 }]);
    assert.equal(state.kind, 'failed');
    if (state.kind !== 'failed') return;
    assert.match(state.problem.message, /exited with code 3/);
    assert.match(state.problem.message, /cannot load library/);
  });

  test('exit code 0 without a last event is a failure too', async () => {
    const { state } = await play([{ send: started }, { exit: 0 }]);
    assert.equal(state.kind === 'failed' && state.problem.code, 'run.process-ended');
  });

  test('an exit code that contradicts "finished" is noted, and the adapter counts', async () => {
    const adapter = path.join(folder, 'crashed-late');
    const { state } = await play([
      { send: started },
      { weights: adapter },
      { send: finished(adapter) },
      { signal: 'SIGSEGV' },
    ]);
    assert.equal(state.kind, 'finished');
    assert.match((state.kind === 'finished' && state.note) || '', /SIGSEGV/);
  });

  test('killing ends it as killed', async () => {
    const { state } = await play([{ send: started }, { await: 'stop' }], (run) => run.kill());
    assert.equal(state.kind === 'failed' && state.problem.code, 'run.killed');
  });

  test('a message that is no event is printed and ignored', async () => {
    const { state, printed } = await play([{ send: { type: 'gossip' } }, { send: started }, { exit: 2 }]);
    assert.equal(state.kind, 'failed');
    assert.ok(printed.some((line) => line.includes('gossip')));
  });

  test('a worker that does not exist fails with its exit, not with an exception', async () => {
    const { state } = await play([], undefined, path.join(folder, 'no-such-worker.js'));
    assert.equal(state.kind === 'failed' && state.problem.code, 'run.process-ended');
  });
});
