import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  advance,
  describeState,
  idle,
  isGoing,
  isStillGoing,
  wasStoppedEarly,
} from '../../../src/engines/runState.js';
import type { Ending, RunState } from '../../../src/engines/runState.js';
import { stoppedEarly } from '../../../src/engines/embedded.js';
import type { Problem } from '../../../src/common/problem.js';
import type { Finished, Memory, Started } from '../../../src/training/events.js';

const started: Started = {
  type: 'started',
  time: '',
  version: '',
  engine: 'embedded',
  config: '',
  folder: '',
  model: '',
  method: '',
  totalSteps: 1,
  seed: 0,
};
const result: Finished = {
  type: 'finished',
  reason: 'completed',
  adapter: '/adapter',
  metrics: {},
  steps: 1,
  seconds: 1,
  peakMemory: 1,
};
const ending: Ending = { code: 0, signal: null, adapterFound: true, killed: false, lastWords: [], last: result };

const starting = advance(idle, { type: 'launched', file: '/a.peft.yaml', time: 5 });
const running = advance(starting, { type: 'event', event: started });

test('the last event alone does not end a run: its process does', () => {
  assert.equal(advance(running, { type: 'event', event: result }).kind, 'running');
  const over = advance(running, { type: 'ended', time: 9, ending });
  assert.deepEqual(over, {
    kind: 'finished',
    file: '/a.peft.yaml',
    began: 5,
    ended: 9,
    result,
    note: undefined,
  });
});

test('a second launch does not disturb a run that is going', () => {
  assert.equal(advance(running, { type: 'launched', file: '/b.peft.yaml', time: 6 }), running);
});

test('a run can be started after one that ended', () => {
  const over = advance(running, { type: 'ended', time: 9, ending });
  assert.deepEqual(advance(over, { type: 'launched', file: '/b.peft.yaml', time: 10 }), {
    kind: 'starting',
    file: '/b.peft.yaml',
    began: 10,
  });
});

test('a stop before the first event is kept through "started"', () => {
  const stopping = advance(starting, { type: 'stopRequested' });
  assert.equal(stopping.kind, 'stopping');
  assert.equal(advance(stopping, { type: 'event', event: started }).kind, 'stopping');
});

test('nothing moves an ended or an idle run but a launch', () => {
  const over: RunState = advance(running, { type: 'ended', time: 9, ending });
  for (const state of [idle, over]) {
    assert.equal(advance(state, { type: 'stopRequested' }), state);
    assert.equal(advance(state, { type: 'event', event: started }), state);
    assert.equal(advance(state, { type: 'ended', time: 11, ending }), state);
  }
});

test('a process that could not be launched says so', () => {
  const state = advance(starting, {
    type: 'ended',
    time: 6,
    ending: { ...ending, code: null, last: undefined, launchError: 'spawn EACCES' },
  });
  assert.equal(state.kind === 'failed' && state.problem.code, 'run.not-launched');
  assert.match((state.kind === 'failed' && state.problem.message) || '', /EACCES/);
});

test('an answer that comes late is about the run it was asked about', () => {
  assert.ok(isStillGoing(starting, running));
  assert.ok(isStillGoing(running, advance(running, { type: 'stopRequested' })));
  const over = advance(running, { type: 'ended', time: 9, ending });
  assert.ok(!isStillGoing(running, over));
  assert.ok(!isStillGoing(idle, idle));
  const again = advance(over, { type: 'launched', file: '/a.peft.yaml', time: 10 });
  assert.ok(!isStillGoing(running, again), 'the same file, trained again');
  const other = advance(over, { type: 'launched', file: '/b.peft.yaml', time: 5 });
  assert.ok(!isStillGoing(running, other));
});

test('what a process that died says has no full stop of its own, and promises nothing', () => {
  const died = { ...ending, code: 7, last: undefined, lastWords: ['no such library'] };
  const state = advance(running, { type: 'ended', time: 9, ending: died });
  assert.ok(state.kind === 'failed');
  assert.match(state.problem.message, /exited with code 7 .*; its last words: no such library$/);
  const killed = advance(running, { type: 'ended', time: 9, ending: { ...died, killed: true } });
  assert.ok(killed.kind === 'failed');
  assert.doesNotMatch(killed.problem.mend ?? '', /checkpoint/);
});

test('a run is paused when its worker says so, and trains again when it says that', () => {
  const paused = { type: 'event', event: { type: 'paused', step: 3, time: '' } } as const;
  const continued = { type: 'event', event: { type: 'continued', step: 3, seconds: 1 } } as const;
  const asked = advance(running, { type: 'pauseRequested' });
  assert.equal(describeState(asked), 'pausing');
  const waits = advance(asked, paused);
  assert.equal(describeState(waits), 'paused');
  assert.ok(isGoing(waits) && isStillGoing(running, waits));
  assert.deepEqual(advance(waits, continued), running);
  assert.equal(advance(running, paused).kind, 'paused', 'another window asked');
  assert.equal(advance(starting, { type: 'pauseRequested' }), starting, 'there is no step yet to wait after');
  const stopping = advance(waits, { type: 'stopRequested' });
  assert.equal(stopping.kind, 'stopping');
  assert.equal(advance(stopping, continued).kind, 'stopping');
  assert.equal(advance(waits, { type: 'ended', time: 9, ending }).kind, 'finished');
});

test('states in a few words', () => {
  assert.equal(describeState(idle), 'no run');
  assert.equal(describeState(running), 'training');
  const stopped = { ...ending, code: 130, last: { ...result, reason: 'stopped' as const } };
  assert.equal(describeState(advance(running, { type: 'ended', time: 9, ending: stopped })), 'stopped');
});

test('a run that was stopped before its first step is no failure to show', () => {
  const last = { type: 'failed', problem: stoppedEarly() } as const;
  const early = advance(running, { type: 'ended', time: 9, ending: { ...ending, code: 130, last } });
  assert.ok(wasStoppedEarly(early));
  assert.equal(describeState(early), 'stopped');
  const problem = { code: 'run.other', message: 'something else' };
  const failed = advance(running, {
    type: 'ended',
    time: 9,
    ending: { ...ending, code: 1, last: { ...last, problem } },
  });
  assert.ok(!wasStoppedEarly(failed));
  assert.equal(describeState(failed), 'failed');
});

test('a process that the kernel killed for memory says what was held, what grew and what goes on', () => {
  const memory = (step: number, graph: number): Memory => ({
    type: 'memory',
    step,
    resident: graph,
    fileBacked: 0,
    anonymous: graph,
    peakResident: graph,
    parts: { graph },
  });
  const killed: Ending = {
    ...ending,
    code: null,
    signal: 'SIGKILL',
    last: undefined,
    checkpoint: 20,
    memory: { first: memory(1, 2 ** 20), last: memory(30, 2 ** 30) },
  };
  const problemOf = (end: Ending): Problem => {
    const state = advance(running, { type: 'ended', time: 9, ending: end });
    assert.ok(state.kind === 'failed');
    return state.problem;
  };
  const known = problemOf({ ...killed, oomKilled: true });
  assert.equal(known.code, 'run.out-of-memory');
  assert.match(
    known.message,
    /after step 30 1 GiB were resident: graph buffers 1 GiB; since step 1 .* grew by 1023 MiB/,
  );
  assert.match(known.mend ?? '', /per_device_train_batch_size.*Resume goes on from the checkpoint of step 20/);
  const other = problemOf({ ...killed, oomKilled: false });
  assert.equal(other.code, 'run.process-ended');
  assert.match(other.mend ?? '', /killer was not it/);
  assert.match(problemOf(killed).mend ?? '', /Most often the machine ran out of memory/);
});

test('a process that ended because its own allocation failed ran out of memory', () => {
  for (const line of [
    "terminate called after throwing an instance of 'std::bad_alloc'",
    'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
  ]) {
    const end: Ending = { ...ending, code: null, signal: 'SIGABRT', last: undefined, lastWords: [line] };
    const state = advance(running, { type: 'ended', time: 9, ending: end });
    assert.equal(state.kind === 'failed' && state.problem.code, 'run.out-of-memory');
  }
});
