import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeEvent } from '../../../src/training/describeEvent.js';
import { soundEvent } from '../../../src/training/soundEvent.js';

test('skipped rows and warnings reach the log as warnings', () => {
  const lines = describeEvent({
    type: 'data',
    split: 'train',
    report: {
      files: ['a.jsonl'],
      format: 'alpaca',
      rows: 12,
      kept: 9,
      broken: [{ file: 'a.jsonl', line: 7, reason: 'not JSON' }],
      brokenCount: 3,
      truncated: 1,
      unsupervised: 0,
      tokens: 1000,
      supervisedTokens: 400,
    },
  });
  assert.deepEqual(
    lines.filter(({ level }) => level === 'warning').map(({ text }) => text),
    ['a.jsonl:7: row skipped: not JSON', '3 rows skipped in all'],
  );
});

test('a failure names file, line and mend', () => {
  const [line] = describeEvent({
    type: 'failed',
    problem: { code: 'x', message: 'bad', where: { file: 'r.peft.yaml', line: 3, column: 5 }, mend: 'Do this.' },
  });
  assert.deepEqual(line, { level: 'error', text: 'r.peft.yaml:3:5: bad\nTo mend it: Do this.' });
});

test('the supervised part of a sample is told apart', () => {
  const [line] = describeEvent({
    type: 'sample',
    split: 'train',
    line: 2,
    spans: [
      { text: 'Question? ', supervised: false },
      { text: 'Answer.', supervised: true },
    ],
  });
  assert.equal(line?.text, 'train line 2: Question? ⟦Answer.⟧');
});

test('a prediction of another version is told with its own names', () => {
  const event = soundEvent({
    type: 'plan',
    plan: { total: 2 ** 20, peak: 'between steps', parts: [], moments: [], assumptions: [] },
    batch: { rows: 4, length: 18 },
  });
  assert.ok(event);
  assert.deepEqual(describeEvent(event), [
    { level: 'info', text: 'Memory: 1 MiB predicted at the peak (between steps, 4 × 18 tokens)' },
  ]);
});
