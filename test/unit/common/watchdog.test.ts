import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimeUp, withinTime } from '../../../src/common/watchdog.js';

test('what ends in time gives its result, what throws its own error', () => {
  assert.equal(
    withinTime(1000, () => 7),
    7,
  );
  assert.equal(
    withinTime(1000, () => undefined),
    undefined,
  );
  const error = new RangeError('mine');
  assert.throws(
    () =>
      withinTime(1000, () => {
        throw error;
      }),
    (thrown) => thrown === error,
  );
});

test('loops and regular expressions without end are stopped', () => {
  const endless: (() => unknown)[] = [
    () => {
      for (;;);
    },
    () => /^(a+)+$/.test(`${'a'.repeat(60)}!`),
  ];
  for (const work of endless) {
    assert.throws(
      () => withinTime(30, work),
      (error) => error instanceof TimeUp && error.milliseconds === 30 && /0\.03 s/.test(error.message),
    );
  }
  assert.equal(
    withinTime(1000, () => 'the next one runs'),
    'the next one runs',
  );
});

test('work within work: the inner limit stops the inner work, and the outer goes on', () => {
  const found = withinTime(5000, () => {
    assert.throws(
      () =>
        withinTime(20, () => {
          for (;;);
        }),
      TimeUp,
    );
    return withinTime(1000, () => 'inner');
  });
  assert.equal(found, 'inner');
});
