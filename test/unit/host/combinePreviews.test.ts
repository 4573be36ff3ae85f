import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Json } from '../../../src/common/json.js';
import { createPreviews } from '../../../src/host/combinePreviews.js';
import type { PreviewState } from '../../../src/host/combineProtocol.js';
import type { Job } from '../../../src/host/job.js';

const FOUND = { from: [], modules: [], numbers: 3 };

/** Previews over jobs that end when the test says so. */
function scripted(): {
  readonly asked: Job[];
  readonly said: (PreviewState | 'found')[];
  readonly end: (at: number, document?: Json) => Promise<void>;
  readonly previews: ReturnType<typeof createPreviews>;
} {
  const asked: Job[] = [];
  const ends: ((document?: Json) => void)[] = [];
  const said: (PreviewState | 'found')[] = [];
  const previews = createPreviews(
    {
      run(job) {
        asked.push(job);
        return new Promise((resolve) => ends.push(resolve));
      },
    },
    (state, found) => said.push(...(found === undefined ? [state] : [state, 'found' as const])),
    5,
  );
  return {
    asked,
    said,
    previews,
    async end(at, document) {
      ends[at]?.(document);
      await sleep(1);
    },
  };
}

const COMPUTING = { kind: 'computing', activity: '', done: 0, total: 0 } as const;

test('wishes that follow at once are one preview, the last; its progress and what it found are told', async () => {
  const { asked, said, previews, end } = scripted();
  for (const weight of ['1', '0.5', '-1']) previews.wish(['combine', weight]);
  await sleep(20);
  assert.deepEqual(
    asked.map(({ args }) => args),
    [['combine', '-1', '--preview']],
  );
  asked[0]?.onProgress?.({ activity: 'Adding updates', done: 3, total: 9 });
  await end(0, FOUND);
  assert.deepEqual(said, [
    COMPUTING,
    COMPUTING,
    COMPUTING,
    { kind: 'computing', activity: 'Adding updates', done: 3, total: 9 },
    { kind: 'settled' },
    'found',
  ]);
});

test('another wish takes back what is at work: neither its progress nor its end is told', async () => {
  const { asked, said, previews, end } = scripted();
  previews.wish(['combine', 'a']);
  await sleep(20);
  previews.wish(['combine', 'b']);
  assert.equal(asked[0]?.signal?.aborted, true);
  asked[0]?.onProgress?.({ activity: 'late', done: 1, total: 2 });
  asked[0]?.onFailure?.({ code: 'x', message: 'late' });
  await end(0);
  await sleep(20);
  await end(1, FOUND);
  assert.deepEqual(said, [COMPUTING, COMPUTING, { kind: 'settled' }, 'found']);
});

test('a failure is told with what mends it, and one that was cancelled as such; a page that closes hears nothing', async () => {
  const { asked, said, previews, end } = scripted();
  previews.wish(['combine', 'a']);
  await sleep(20);
  asked[0]?.onFailure?.({ code: 'x', message: 'ranks 2 and 4', mend: 'Leave out --as-peft.' });
  await end(0);
  previews.wish(['combine', 'b']);
  await sleep(20);
  await end(1);
  previews.wish(['combine', 'c']);
  previews.cancel();
  await sleep(20);
  assert.equal(asked.length, 2);
  assert.deepEqual(said, [
    COMPUTING,
    { kind: 'failed', message: 'ranks 2 and 4. Leave out --as-peft.' },
    COMPUTING,
    { kind: 'failed', message: 'Cancelled.' },
    COMPUTING,
  ]);
});
