import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../../src/common/json.js';
import type { Job } from '../../../src/host/job.js';
import { createReader } from '../../../src/host/reader.js';

/** Jobs that end when the test says so. */
function scripted(): { run(job: Job): Promise<Json | undefined>; readonly asked: Job[]; end(value?: Json): void } {
  const asked: Job[] = [];
  const ends: ((value?: Json) => void)[] = [];
  return {
    asked,
    run(job) {
      asked.push(job);
      return new Promise((resolve) => ends.push(resolve));
    },
    end: (value) => ends.shift()?.(value),
  };
}

const isText = (value: unknown): value is string => typeof value === 'string';

function told(): {
  readonly said: string[];
  readonly about: Parameters<ReturnType<typeof createReader>['read']>[0];
} {
  const said: string[] = [];
  return {
    said,
    about: {
      title: 'Reading',
      args: ['read'],
      isDocument: isText,
      found: (text) => said.push(`found ${String(text)}`),
      failed: (message) => said.push(`failed ${message}`),
    },
  };
}

test('what was read is shown; why it was not, with its place; and that it was cancelled', async () => {
  const jobs = scripted();
  const reader = createReader(jobs);
  const { said, about } = told();
  const first = reader.read(about);
  jobs.end('text');
  await first;
  const second = reader.read(about);
  jobs.asked[1]?.onFailure?.({ code: 'x', message: 'no such file', where: { file: 'a.yaml', line: 3 } });
  jobs.end();
  await second;
  const third = reader.read(about);
  jobs.end();
  await third;
  assert.deepEqual(said, ['found text', 'failed a.yaml:3: no such file.', 'failed Cancelled.']);
});

test('reading again takes back what is not read yet, and so does the page’s end', async () => {
  const jobs = scripted();
  const reader = createReader(jobs);
  const { said, about } = told();
  const first = reader.read(about);
  const second = reader.read(about);
  assert.equal(jobs.asked[0]?.signal?.aborted, true);
  jobs.end('old');
  jobs.end('new');
  await Promise.all([first, second]);
  const third = reader.read(about);
  reader.cancel();
  assert.equal(jobs.asked[2]?.signal?.aborted, true);
  jobs.end('late');
  await third;
  assert.deepEqual(said, ['found new']);
});
