import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ComparedRun } from '../../../../src/engines/runComparison.js';
import type { ToCompare } from '../../../../src/host/compareProtocol.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';

const run = (end: ComparedRun['end'], norms: ComparedRun['norms']): ComparedRun => ({
  folder: `/运行/${end}`,
  label: '甲',
  method: 'lora',
  end,
  trainable: 100,
  steps: 3,
  seconds: 70,
  peakMemory: 1000,
  metrics: { eval_loss: 1, eval_token_accuracy: 0.5, eval_row_accuracy: 0.2 },
  loss: { steps: [1, 2, 3], values: [3, 2, 1] },
  evaluationLoss: { steps: [3], values: [1] },
  norms,
  problems: [{ code: 'x', message: '读不出' }],
});

test('a comparison has no English word in Chinese', async (context) => {
  const page = await openWebPage('compare', chineseTexts());
  context.after(page.close);
  const seen = [...page.texts()];
  const tell = async (message: ToCompare): Promise<void> => {
    await page.tell(message);
    seen.push(...page.texts());
  };
  const ends = ['completed', 'early-stopped', 'stopped', 'failed', 'unfinished'] as const;
  await tell({ type: 'reading' });
  await tell({ type: 'comparison', comparison: { runs: ends.map((end) => run(end, undefined)), settings: [] } });
  const norms = [
    { layer: 0, norm: 1 },
    { layer: undefined, norm: 2 },
  ];
  const settings = [{ key: 'method.r', values: ['8', undefined] }];
  await tell({
    type: 'comparison',
    comparison: { runs: [run('completed', norms), run('stopped', undefined)], settings },
  });
  await tell({ type: 'failed', message: '出错了。' });
  assert.ok(seen.some((text) => text.includes('提前停止')));
  assert.deepEqual(englishLeft(seen), []);
});
