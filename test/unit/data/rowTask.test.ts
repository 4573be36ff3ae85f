import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBatch } from '../../../src/data/batches.js';
import { loadDataset } from '../../../src/data/loadDataset.js';
import type { Example } from '../../../src/data/example.js';
import { withPrefix } from '../../../src/data/virtualTokens.js';
import { fakeTokenizer } from './fakeTokenizer.js';
import { temporaryFolder } from './temporary.js';

const { write } = temporaryFolder();
const tokenizer = fakeTokenizer();

function rows(...tasks: unknown[]): string {
  return tasks.map((task) => `${JSON.stringify({ prompt: 'q', completion: 'a', task })}\n`).join('');
}

const train = write('train.jsonl', rows('sql', 'chat', 'sql', 7, 'chat'));
const options = { train, task_column: 'task' };

test('tasks are numbered in the order of their first rows; without a column rows name none', async () => {
  const dataset = await loadDataset(options, tokenizer);
  assert.deepEqual(dataset.tasks, ['sql', 'chat', '7']);
  assert.deepEqual(
    dataset.train.map(({ task }) => task),
    [0, 1, 0, 2, 1],
  );
  const plain = await loadDataset({ train }, tokenizer);
  assert.deepEqual(plain.tasks, []);
  assert.ok(plain.train.every((each) => !('task' in each)));
});

test('held-out rows are of the tasks of the training rows; others are broken, with the nearest name', async () => {
  const validation = write('held.jsonl', rows('chat', 'sqll', 'sql', 'translate'));
  const dataset = await loadDataset({ ...options, validation }, tokenizer);
  assert.deepEqual(
    dataset.validation.map(({ task }) => task),
    [1, 0],
  );
  assert.deepEqual(dataset.tasks, ['sql', 'chat', '7']);
  const reasons = dataset.reports.validation!.broken.map(({ reason }) => reason);
  assert.match(reasons[0]!, /no training row is of the task "sqll" \(did you mean "sql"\?\)/);
  assert.match(reasons[1]!, /"translate"; there are "sql", "chat", "7"/);
  const split = await loadDataset({ ...options, validation_split: 2 }, tokenizer);
  assert.deepEqual([split.train.length, split.validation.length, split.tasks], [3, 2, ['sql', 'chat', '7']]);
});

test('rows that name no task are broken', async () => {
  const file = write('none.jsonl', rows('a', '', null, 1.5, true, ['a'], undefined));
  const { reports } = await loadDataset({ train: file, task_column: 'task' }, tokenizer);
  assert.equal(reports.train.kept, 1);
  assert.ok(reports.train.broken.every(({ reason }) => reason === 'column "task" names no task'));
});

test('a batch says of which task each token is, packed rows too', () => {
  const of = (task: number | undefined, length: number, source?: number): Example => ({
    ids: Array.from({ length }, () => 5),
    supervised: Array.from({ length }, () => 1 as const),
    ...(task === undefined ? {} : { task }),
    ...(source === undefined ? {} : { source: Array.from({ length: source }, () => 6) }),
    file: 'x',
    line: 1,
  });
  const examples = [of(2, 2), of(1, 3), of(undefined, 1)];
  assert.deepEqual([...makeBatch(examples, [[0, 1], [2]]).tasks], [2, 2, 1, 1, 1, 0, 0, 0, 0, 0]);
  const sources = makeBatch([of(2, 1, 2), of(1, 1, 1)], [[0], [1]]).source!;
  assert.deepEqual([...sources.tasks], [2, 2, 1, 0]);
  const prefixed = withPrefix(examples, (task) => [90 + task, 95]);
  assert.deepEqual(
    prefixed.map(({ ids }) => ids.slice(0, 2)),
    [
      [92, 95],
      [91, 95],
      [90, 95],
    ],
  );
});
