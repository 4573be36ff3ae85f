import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataPreview } from '../../../../src/engines/dataPreview.js';
import { openWebPage } from '../../../support/webPage.mjs';

const PREVIEW: DataPreview = {
  file: '/runs/a.peft.yaml',
  model: '/models/base',
  maxLength: 9,
  packing: false,
  splits: [
    {
      split: 'train',
      report: {
        format: 'text',
        files: [],
        rows: 1,
        kept: 1,
        broken: [],
        brokenCount: 0,
        truncated: 0,
        unsupervised: 0,
        tokens: 3,
        supervisedTokens: 2,
      },
      dropped: [],
      lengths: { shortest: 3, median: 3, p95: 3, longest: 3, bins: [{ from: 3, to: 3, rows: 1 }] },
      samples: [
        {
          number: 1,
          file: '/data/a.jsonl',
          line: 1,
          truncated: false,
          length: 3,
          supervised: 2,
          tokens: ['a', 'b', 'c'].map((text, id) => ({ id, text, supervised: id > 0 })),
        },
      ],
    },
  ],
  warnings: [],
};

test('arrow keys, Home and End go along tokens and stay at the ends; one token is reached by Tab', async (context) => {
  const page = await openWebPage('preview', {});
  context.after(page.close);
  await page.tell({ type: 'preview', preview: PREVIEW });
  /** The token that is told below the sample, and those that Tab reaches. */
  const told = (): readonly [string | undefined, number] => [
    page
      .texts('.readout')
      .join(' ')
      .match(/^Token (\d)/)?.[1],
    page.count('.token[tabindex="0"]'),
  ];
  const seen = [];
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft', 'Home', 'ArrowLeft', 'End']) {
    await page.press(key, '.token[tabindex="0"]');
    seen.push(told());
  }
  assert.deepEqual(
    seen,
    ['2', '3', '3', '2', '1', '1', '3'].map((token) => [token, 1]),
  );
  await page.focus('[data-at="1"]');
  assert.deepEqual(told(), ['2', 1]);
});
