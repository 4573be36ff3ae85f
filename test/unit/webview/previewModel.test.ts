import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataPreview, SplitPreview } from '../../../src/engines/dataPreview.js';
import { describeToken, drawnText, samplesListed, splitShown, within } from '../../../webview/previewModel.js';

const sample = (number: number, truncated: boolean): SplitPreview['samples'][number] => ({
  number,
  file: '/a.jsonl',
  line: number,
  truncated,
  length: 1,
  supervised: 1,
  tokens: [],
});
const train: SplitPreview = {
  split: 'train',
  report: {
    files: [],
    format: 'text',
    rows: 3,
    kept: 3,
    broken: [],
    brokenCount: 0,
    truncated: 1,
    unsupervised: 0,
    tokens: 3,
    supervisedTokens: 3,
  },
  dropped: [],
  lengths: { shortest: 1, median: 1, p95: 1, longest: 1, bins: [] },
  samples: [sample(1, false), sample(2, true), sample(3, false)],
};
const preview: DataPreview = {
  file: '/a.peft.yaml',
  model: 'm',
  maxLength: 8,
  packing: false,
  splits: [train],
  warnings: [],
};

test('only the samples that were cut are listed when they are asked for', () => {
  const chosen = { split: 'train', at: 0 } as const;
  assert.equal(samplesListed(train, { ...chosen, onlyTruncated: false }).length, 3);
  assert.deepEqual(
    samplesListed(train, { ...chosen, onlyTruncated: true }).map(({ number }) => number),
    [2],
  );
});

test('a split that is gone gives way to the first', () => {
  assert.equal(splitShown(preview, { split: 'validation', onlyTruncated: false, at: 0 }), train);
});

test('an index stays within the list', () => {
  assert.deepEqual([within(-1, 3), within(1, 3), within(9, 3), within(4, 0)], [0, 1, 2, 0]);
});

test('a token is told with its id, text and why the loss does not count it', () => {
  const token = { id: 5, text: ' a\n', supervised: false };
  assert.match(describeToken(token, 0), /^Token 1: id 5, " a\\n"; not supervised: the first token/);
  assert.match(describeToken(token, 3), /part of the prompt/);
  assert.match(
    describeToken({ id: 0, text: '<s>', supervised: true, special: true }, 3),
    /"<s>", special token; supervised/,
  );
  assert.match(describeToken({ id: 9, text: '', supervised: true }, 2), /a part of the next character/);
});

test('what cannot be seen is drawn', () => {
  assert.deepEqual(['', 'a\n', '\t'].map(drawnText), ['·', 'a⏎\n', '⇥\t']);
});
