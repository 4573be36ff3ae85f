import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeState } from '../../../src/engines/runState.js';

test('states in a few words', () => {
  assert.equal(describeState({ kind: 'idle' }), 'no run');
  const going = { file: 'a.peft.yaml', began: 0 };
  assert.equal(describeState({ kind: 'running', ...going }), 'training');
  const result = {
    type: 'finished',
    reason: 'stopped',
    adapter: '/a',
    metrics: {},
    steps: 1,
    seconds: 1,
    peakMemory: 1,
  } as const;
  assert.equal(describeState({ kind: 'finished', ended: 1, result, ...going }), 'stopped');
});
