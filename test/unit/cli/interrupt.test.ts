import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInterrupt } from '../../../src/cli/interrupt.js';

/** A clock by which a second passes between any two looks at it. */
function slowClock(): () => number {
  let time = 0;
  return () => (time += 1000);
}

test('the first Ctrl-C is asked about, the second ends the process', () => {
  const exits: number[] = [];
  const interrupt = createInterrupt((code) => exits.push(code), slowClock());
  interrupt.check();
  assert.equal(interrupt.requested(), false);
  interrupt.signal();
  assert.equal(interrupt.requested(), true);
  assert.throws(interrupt.check, {
    problem: { code: 'cli.interrupted', message: 'interrupted; nothing was left half written' },
  });
  assert.deepEqual(exits, []);
  interrupt.signal();
  assert.deepEqual(exits, [130]);
});

test('a listener hears each Ctrl-C and decides itself', () => {
  const exits: number[] = [];
  const heard: number[] = [];
  const interrupt = createInterrupt((code) => exits.push(code), slowClock());
  interrupt.onSignal((count) => heard.push(count));
  interrupt.signal();
  interrupt.signal();
  assert.deepEqual([heard, exits], [[1, 2], []]);
});

test('a request counts once, as the first Ctrl-C: a closing terminal repeats it', () => {
  const heard: number[] = [];
  const interrupt = createInterrupt(() => assert.fail('the process must not be ended'), slowClock());
  interrupt.onSignal((count) => heard.push(count));
  interrupt.request();
  interrupt.request();
  assert.deepEqual(heard, [1]);
  interrupt.signal();
  assert.deepEqual(heard, [1, 2]);
});

test('work that does not ask is left at Ctrl-C', async () => {
  const interrupt = createInterrupt(() => undefined);
  assert.equal(await interrupt.race(Promise.resolve(7)), 7);
  const waiting = interrupt.race(new Promise<never>(() => undefined));
  interrupt.signal();
  await assert.rejects(waiting, { name: 'ProblemError', message: /^interrupted/ });
});

test('a Ctrl-C that is heard twice is one; a person who presses again is heard', () => {
  const heard: number[] = [];
  let time = 0;
  const interrupt = createInterrupt(
    () => assert.fail('the process must not be ended'),
    () => time,
  );
  interrupt.onSignal((count) => heard.push(count));
  interrupt.signal();
  time = 5;
  interrupt.signal();
  assert.deepEqual(heard, [1]);
  time = 500;
  interrupt.signal();
  assert.deepEqual(heard, [1, 2]);
});
