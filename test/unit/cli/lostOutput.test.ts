import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lostOutput } from '../../../src/cli/lostOutput.js';

function lost(code: string): ReturnType<typeof lostOutput> {
  return lostOutput(Object.assign(new Error(`${code}: write`), { code }));
}

test('a reader that wants no more ends the program without a word', () => {
  assert.deepEqual(lost('EPIPE'), { kind: 'leave', code: 130 });
});

test('a terminal that is gone lets the work come to its end', () => {
  assert.deepEqual(lost('EIO'), { kind: 'stop' });
});

test('results that could not be written are a failure, with its reason', () => {
  const full = lost('ENOSPC');
  assert.ok(full.kind === 'leave');
  assert.equal(full.code, 1);
  assert.match(full.say ?? '', /standard output cannot be written: ENOSPC: write \[cli\.output\]/);
});
