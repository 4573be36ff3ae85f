// Memory that runs out in the middle of a run: it says for what, and the run goes on from its checkpoint later.
import assert from 'node:assert/strict';
import { execFileSync, fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { resumeFolder } from '../../src/engines/resumeRun.js';
import { checkpointSteps } from '../../src/training/checkpoint.js';
import type { RunEvent } from '../../src/training/events.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { emitted, makeModel, makeRun, rows } from './engineModel.js';

const folder = temporaryFolder();
const WORKER = path.join(ROOT, 'src/worker.ts');

/** Address space beyond what a process has: enough for a short row's step, far too little for the long one's. */
const SPARE_BYTES = 96 * 2 ** 20;
/** Attention over it takes 100 MB per layer and tensor. */
const LONG_ROW = 'word '.repeat(3500);
/** With it the long row's batch is step 31 of 40: there is time to set the bound. */
const SEED = 1;

function limitAddressSpace(pid: number): void {
  const size = Number(/^VmSize:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  execFileSync('prlimit', ['--pid', String(pid), `--as=${size + SPARE_BYTES}`]);
}

function train(file: string, onEvent: (event: RunEvent, child: ChildProcess) => void): Promise<number | null> {
  const child = fork(WORKER, [], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  child.on('message', (event: RunEvent) => onEvent(event, child));
  child.send({ type: 'train', file });
  return new Promise((resolve) => child.on('close', (code) => resolve(code)));
}

test('a batch that does not fit: the step, its shape and its parts are named, and Resume goes on', async (t) => {
  // Where prlimit belongs to the system, its absence is a failure.
  if (process.platform !== 'linux') return t.skip('an address space is bounded with prlimit, which is of Linux');
  const model = await makeModel(path.join(folder, 'base'));
  const place = path.join(folder, 'run');
  await mkdir(place);
  const long = JSON.stringify({ prompt: LONG_ROW, completion: 'end' });
  await writeFile(path.join(place, 'long.jsonl'), `${rows(39, 1)}${long}\n`);
  const run = await makeRun(place, model, {
    data: { train: 'long.jsonl', max_length: 4096 },
    training: { num_train_epochs: 1, per_device_train_batch_size: 1, logging_steps: 1, save_steps: 2, seed: SEED },
  });
  const events: RunEvent[] = [];
  const code = await train(run.file, (event, child) => {
    events.push(event);
    if (event.type !== 'step' || event.step !== 1) return;
    child.kill('SIGSTOP');
    limitAddressSpace(child.pid!);
    child.kill('SIGCONT');
  });
  assert.equal(code, 1);
  const failed = events.at(-1)!;
  assert.ok(failed.type === 'failed', JSON.stringify(failed));
  const { message, mend = '', code: problem } = failed.problem;
  assert.equal(problem, 'runtime.out-of-memory');
  const steps = events.flatMap((event) => (event.type === 'step' ? [event.step] : [])).at(-1)!;
  assert.match(message, new RegExp(`in step ${steps + 1} with a batch of 1 × 3\\d\\d\\d tokens`));
  assert.match(message, /predicted to need most there: workspace \d+ MiB, activations \d+ MiB/);
  assert.match(message, /could not be had: a buffer( of \d+(\.\d)? MiB)? for the result of \w+/);
  assert.match(message, new RegExp(`after step ${steps} \\d+ MiB were resident: `));
  // The last step is kept, whatever save_steps says.
  const started = events.find((event) => event.type === 'started')!;
  assert.equal((await checkpointSteps(started.folder)).at(-1), steps);
  assert.match(mend, /2048 saves \d+ MiB/);
  assert.match(mend, new RegExp(`checkpoint of step ${steps} is there`));

  const { run: again, point } = await resumeFolder(started.folder);
  const rest = await emitted(again, { resume: point });
  const last = rest.events.at(-1)!;
  assert.ok(last.type === 'finished' && last.reason === 'completed' && last.steps === 40, String(rest.error));
});
