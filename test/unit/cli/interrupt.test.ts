import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInterrupt } from '../../../src/cli/interrupt.js';

test('the first Ctrl-C is asked about, the second ends the process', () => {
  const exits: number[] = [];
  const interrupt = createInterrupt((code) => exits.push(code));
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
  const interrupt = createInterrupt((code) => exits.push(code));
  interrupt.onSignal((count) => heard.push(count));
  interrupt.signal();
  interrupt.signal();
  assert.deepEqual([heard, exits], [[1, 2], []]);
});
