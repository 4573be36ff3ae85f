import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { loadFiles } from '../../../src/data/loadFiles.js';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import { lengthCounts, previewData, splitPreview } from '../../../src/engines/previewData.js';
import { fakeTokenizer } from '../data/fakeTokenizer.js';
import { temporaryFolder } from '../data/temporary.js';

const { write } = temporaryFolder();
const row = (prompt: string, completion: string): string => JSON.stringify({ prompt, completion });

test('rows are counted by what became of them, and those dropped are named with their line', async () => {
  const file = write(
    'mixed.jsonl',
    [row('ab', 'cd'), '{oops', row('long prompt here', 'x'), row('ab', 'a long answer')].join('\n'),
  );
  const tokenizer = fakeTokenizer();
  const loaded = await loadFiles([file], { train: file, max_length: 8 }, tokenizer);
  const { report, dropped, samples } = splitPreview('train', loaded, tokenizer, 10);
  assert.deepEqual(
    [report.rows, report.kept, report.brokenCount, report.truncated, report.unsupervised],
    [4, 2, 1, 2, 1],
  );
  assert.deepEqual(dropped, [{ file, line: 3, reason: 'no supervised token is left before the cut' }]);
  assert.deepEqual(
    samples.map(({ number, line, truncated, length, supervised }) => [
      number,
      line,
      truncated,
      length,
      supervised,
    ]),
    [
      [1, 1, false, 5, 3],
      [2, 4, true, 8, 6],
    ],
  );
  assert.deepEqual(
    samples[0]?.tokens.map(({ text, supervised }) => [text, supervised]),
    [
      ['a', false],
      ['b', false],
      ['c', true],
      ['d', true],
      ['</s>', true],
    ],
  );
});

test('beside the first rows, the first that were cut are shown', async () => {
  const rows = Array.from({ length: 40 }, (_, i) => row('ab', i % 10 === 9 ? 'a long answer' : 'c'));
  const file = write('long.jsonl', rows.join('\n'));
  const tokenizer = fakeTokenizer();
  const loaded = await loadFiles([file], { train: file, max_length: 8 }, tokenizer);
  const { samples } = splitPreview('train', loaded, tokenizer, 2);
  assert.deepEqual(
    samples.map(({ number, truncated }) => [number, truncated]),
    [
      [1, false],
      [2, false],
      [10, true],
      [20, true],
    ],
  );
});

test('lengths are counted in bins without gaps', () => {
  const lengths = Array.from({ length: 100 }, (_, i) => i + 1);
  const counts = lengthCounts(lengths);
  assert.deepEqual([counts.shortest, counts.median, counts.p95, counts.longest], [1, 50, 95, 100]);
  assert.equal(
    counts.bins.reduce((sum, { rows }) => sum + rows, 0),
    100,
  );
  for (const [at, { from }] of counts.bins.entries()) {
    if (at > 0) assert.equal(from, counts.bins[at - 1]!.to + 1);
  }
  assert.deepEqual(lengthCounts([7]).bins, [{ from: 7, to: 7, rows: 1 }]);
});

test('the example: both splits, the mask on the answer, special tokens marked', async () => {
  const { run, problems } = await loadRunFile(path.resolve('examples/quickstart/quickstart.peft.yaml'));
  assert.ok(run, JSON.stringify(problems));
  const { splits, warnings } = await previewData(run, {}, 1);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    splits.map(({ split, report }) => [split, report.rows]),
    [
      ['train', 600],
      ['validation', 100],
    ],
  );
  const tokens = splits[0]!.samples[0]!.tokens;
  assert.equal(tokens[0]!.supervised, false);
  assert.deepEqual([tokens.at(-1)!.special, tokens.at(-1)!.supervised], [true, true]);
  assert.match(tokens.map(({ text }) => text).join(''), /^table .*\nsql: SELECT .*<\|endoftext\|>$/s);
});
