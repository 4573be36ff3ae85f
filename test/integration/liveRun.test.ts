// Runs in processes of their own: found again, followed by several windows, stopped by any, their end told.
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  createEntry,
  isRunLive,
  livePlaces,
  liveFolder,
  readEntries,
  writeEntry,
} from '../../src/engines/liveEntry.js';
import { findLiveRuns, followRun, launchRun } from '../../src/engines/liveRun.js';
import type { LiveRun } from '../../src/engines/liveRun.js';
import { advance, idle } from '../../src/engines/runState.js';
import type { Happening, RunState } from '../../src/engines/runState.js';
import type { RunEvent } from '../../src/training/events.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
process.env['PEFT_STUDIO_RUNTIME_DIR'] = path.join(folder, 'live');
const model = await makeModel(path.join(folder, 'base'));
const WORKER = path.join(ROOT, 'src/worker.ts');
const started: LiveRun[] = [];
after(() => started.forEach((run) => run.kill()));

async function runFile(name: string, training: Record<string, unknown>): Promise<string> {
  return (await makeRun(path.join(folder, name), model, { training })).file;
}

const ENDLESS = { max_steps: 100_000, per_device_train_batch_size: 4, logging_steps: 1, save_steps: 2 };
const request = (file: string) => ({ file, overrides: [], resume: false });

/** Keeps what a follower is told. */
function follower(): {
  tell: (happening: Happening) => void;
  print: (line: string) => void;
  state: () => RunState;
  events: () => readonly RunEvent[];
  /** Settles when an event passes. */
  sees: (passes: (event: RunEvent) => boolean) => Promise<void>;
} {
  let state: RunState = idle;
  const events: RunEvent[] = [];
  const waiting = new Set<() => void>();
  return {
    tell(happening) {
      state = advance(state, happening);
      if (happening.type === 'event') events.push(happening.event);
      waiting.forEach((check) => check());
    },
    print: () => undefined,
    state: () => state,
    events: () => events,
    sees: (passes) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (events.some(passes)) resolve();
          else if (state.kind === 'failed' || state.kind === 'finished') reject(new Error(JSON.stringify(state)));
        };
        waiting.add(check);
        check();
      }),
  };
}

const isStep =
  (step: number) =>
  (event: RunEvent): boolean =>
    event.type === 'step' && event.step >= step;

const steps = (events: readonly RunEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'step' ? [event.step] : []));

/** Waits until no entry is left: the worker removes its own when all were told. */
async function gone(): Promise<void> {
  for (let tries = 0; tries < 500 && (await readEntries()).length > 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(await readEntries(), []);
}

test('a run outlives who started it, is found again, followed by two, stopped by one; all events once', async () => {
  const file = await runFile('outlives', ENDLESS);
  const first = follower();
  const launched = await launchRun(WORKER, request(file), first);
  started.push(launched);
  await first.sees(isStep(2));
  launched.leave();
  await launched.done;
  const told = first.events().length;
  assert.equal(first.state().kind, 'running');

  const found = await findLiveRuns((each) => each === file);
  assert.equal(found.length, 1);
  assert.deepEqual(await findLiveRuns(() => false), []);
  const [second, third] = [follower(), follower()];
  const [one, other] = [await followRun(found[0]!, second), await followRun(found[0]!, third)];
  await Promise.all([second.sees(isStep(5)), third.sees(isStep(5))]);
  assert.equal(first.events().length, told);
  const begun = second.events().find((event) => event.type === 'started');
  assert.ok(begun?.type === 'started');
  assert.equal(await isRunLive(begun.folder), true);
  one.stop();
  await Promise.all([one.done, other.done]);
  for (const { state, events } of [second, third]) {
    const ended = state();
    assert.ok(ended.kind === 'finished', JSON.stringify(ended));
    assert.equal(ended.result.reason, 'stopped');
    const seen = steps(events());
    assert.deepEqual(
      seen,
      seen.map((_, at) => at + 1),
    );
    assert.equal(seen.at(-1), ended.result.steps);
  }
  await gone();
  assert.equal(await isRunLive(begun.folder), false);
  // What the process printed stays a while for whoever started it.
  assert.deepEqual(await readdir(await liveFolder()), [`${launched.entry.id}.log`]);
});

test('a run is paused by one window, seen so by all, also by one that comes in the pause, and continued by another', async () => {
  const file = await runFile('paused', { ...ENDLESS, save_steps: 100_000 });
  const [first, second, late] = [follower(), follower(), follower()];
  const launched = await launchRun(WORKER, request(file), first);
  started.push(launched);
  await first.sees(isStep(1));
  const other = await followRun(launched.entry, second);
  await second.sees(isStep(1));
  launched.ask('pause');
  assert.equal(first.state().kind, 'pausing');
  const isPause = (event: RunEvent): boolean => event.type === 'paused';
  await Promise.all([first.sees(isPause), second.sees(isPause)]);
  assert.deepEqual([first.state().kind, second.state().kind], ['paused', 'paused']);
  const before = steps(first.events()).at(-1);
  const third = await followRun(launched.entry, late);
  await late.sees(isPause);
  assert.equal(late.state().kind, 'paused');
  third.ask('checkpoint');
  await second.sees((event) => event.type === 'checkpoint' && event.step === before);
  assert.equal(second.state().kind, 'paused');
  assert.equal(steps(first.events()).at(-1), before);
  other.ask('continue');
  await Promise.all([first.sees(isStep(before! + 2)), late.sees(isStep(before! + 2))]);
  assert.deepEqual([first.state().kind, late.state().kind], ['running', 'running']);
  // A stop ends a pause.
  third.ask('pause');
  await first.sees((event) => event.type === 'paused' && event.step > before!);
  other.stop();
  await Promise.all([launched.done, other.done, third.done]);
  const state = late.state();
  assert.ok(state.kind === 'finished' && state.result.reason === 'stopped', JSON.stringify(state));
  const waited = late.events().reduce((sum, event) => sum + (event.type === 'continued' ? event.seconds : 0), 0);
  assert.ok(waited > 0);
  assert.ok(
    state.result.seconds * 1000 < state.ended - state.began - waited * 1000,
    'pauses are no part of its time',
  );
  await gone();
});

test('a worker that is killed is told as gone, with the checkpoint to go on from; resumed, it comes to its end', async () => {
  const file = await runFile('killed', { ...ENDLESS, max_steps: 400 });
  const first = follower();
  const launched = await launchRun(WORKER, request(file), first);
  started.push(launched);
  await first.sees((event) => event.type === 'checkpoint');
  const [entry] = await readEntries();
  process.kill(entry!.pid!, 'SIGKILL');
  await launched.done;
  const state = first.state();
  assert.ok(state.kind === 'failed', JSON.stringify(state));
  assert.equal(state.problem.code, 'run.process-ended');
  assert.match(state.problem.message, /SIGKILL/);
  // What killed it is told where the kernel counts its kills, else guessed at.
  assert.match(state.problem.mend!, /memory.*Resume goes on from the checkpoint of step \d+/);

  const begun = first.events().find((event) => event.type === 'started');
  assert.ok(begun?.type === 'started');
  const second = follower();
  const resumed = await launchRun(
    WORKER,
    { file, resumeFolder: begun.folder, overrides: [], resume: true },
    second,
  );
  started.push(resumed);
  await resumed.done;
  const ended = second.state();
  assert.ok(ended.kind === 'finished', JSON.stringify(ended));
  assert.equal(ended.file, file);
  assert.equal(ended.result.steps, 400);
  const goesOn = second.events().find((event) => event.type === 'started');
  assert.ok(goesOn?.type === 'started' && goesOn.resumedFrom! >= 2);
  // The curve is that of the whole run.
  assert.deepEqual(
    steps(second.events()),
    Array.from({ length: 400 }, (_, at) => at + 1),
  );
});

test('a run that fails while nobody listens says why to one that comes later', async () => {
  const file = await runFile('fails', { max_steps: 1 });
  await writeFile(file, 'model: nowhere\n');
  const first = follower();
  const launched = await launchRun(WORKER, request(file), first);
  started.push(launched);
  launched.leave();
  await launched.done;
  // A window that looks for runs more than once before it follows.
  let [found] = await findLiveRuns((each) => each === file);
  for (let tries = 0; found?.pid === undefined && tries < 600; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    [found] = await findLiveRuns((each) => each === file);
  }
  const second = follower();
  await (
    await followRun(found!, second)
  ).done;
  const state = second.state();
  assert.ok(state.kind === 'failed', JSON.stringify(state));
  assert.match(state.problem.message, /`data` is missing/);
  await gone();
});

test('a run that begins is found before its process listens, and can be followed', async () => {
  const file = await runFile('begins', ENDLESS);
  const first = follower();
  const launched = await launchRun(WORKER, request(file), first);
  started.push(launched);
  const [found] = await findLiveRuns((each) => each === file);
  assert.equal(found?.id, launched.entry.id);
  const second = follower();
  const other = await followRun(found, second);
  await second.sees(isStep(1));
  other.stop();
  await Promise.all([launched.done, other.done]);
  assert.deepEqual([first.state().kind, second.state().kind], ['finished', 'finished']);
});

test('entries of workers that are gone are cleared away; a program that is none is told', async () => {
  const entry = await createEntry(request(path.join(folder, 'x.peft.yaml')));
  // A process that is there, but no worker of ours.
  await writeEntry(await liveFolder(), { ...entry, began: 0, pid: process.pid });
  assert.deepEqual(await findLiveRuns(() => true), []);
  assert.deepEqual(await readEntries(), []);
  await writeFile(livePlaces(await liveFolder(), entry.id).entry, '{"id": "../../evil"');
  assert.deepEqual(await readEntries(), []);

  const told = follower();
  const launched = await launchRun(path.join(folder, 'no-worker.js'), request('x.peft.yaml'), told);
  await launched.done;
  const state = told.state();
  assert.ok(state.kind === 'failed');
  assert.match(state.problem.message, /exited with code 1.*no-worker/s);
});
