import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataPreview, PreviewSample, SplitPreview } from '../../../../src/engines/dataPreview.js';
import type { ToPreview } from '../../../../src/host/previewProtocol.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';

const sample = (number: number, truncated: boolean): PreviewSample => ({
  number,
  file: '/数据/甲.jsonl',
  line: number,
  truncated,
  length: 9,
  supervised: 2,
  tokens: [
    { id: 1, text: '一', supervised: false, special: true },
    { id: 2, text: '', supervised: false },
    { id: 3, text: '二', supervised: true },
  ],
});

const split = (name: SplitPreview['split']): SplitPreview => ({
  split: name,
  report: {
    format: 'text',
    files: [],
    rows: 10,
    kept: 8,
    broken: [{ file: '/数据/甲.jsonl', line: 4, reason: '不是一行' }],
    brokenCount: 2,
    truncated: 3,
    unsupervised: 1,
    tokens: 100,
    supervisedTokens: 60,
  },
  dropped: [{ file: '/数据/甲.jsonl', line: 5, reason: '没有标签' }],
  lengths: {
    shortest: 3,
    median: 5,
    p95: 8,
    longest: 9,
    bins: [
      { from: 3, to: 3, rows: 4 },
      { from: 4, to: 9, rows: 4 },
    ],
  },
  samples: [sample(1, false), sample(2, true)],
});

const PREVIEW: DataPreview = {
  file: '/运行/甲.peft.yaml',
  model: '/模型/基座',
  maxLength: 9,
  packing: true,
  splits: [split('train'), split('validation')],
  warnings: [{ code: 'x', message: '某个警告', mend: '请检查。' }],
};

test('the preview of data has no English word in Chinese', async (context) => {
  const page = await openWebPage('preview', chineseTexts());
  context.after(page.close);
  const seen = [...page.texts()];
  const tell = async (message: ToPreview): Promise<void> => {
    await page.tell(message);
    seen.push(...page.texts());
  };
  await tell({ type: 'reading', file: PREVIEW.file });
  await tell({ type: 'preview', preview: PREVIEW });
  await tell({ type: 'preview', preview: { ...PREVIEW, packing: false } });
  for (const key of ['n', 't', 'n']) {
    await page.press(key);
    seen.push(...page.texts());
  }
  await tell({ type: 'failed', message: '出错了。' });
  assert.ok(seen.some((text) => text.includes('特殊词元')));
  assert.deepEqual(englishLeft(seen, ['text', 'jsonl']), []);
});
