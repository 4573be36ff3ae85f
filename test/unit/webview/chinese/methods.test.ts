import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ToMethods } from '../../../../src/host/methodsProtocol.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';
import { comparedMethod, comparisonOf, refusedMethod } from '../../engines/compareMethods/comparisons.js';

test('compared methods have no English word in Chinese', async (context) => {
  const page = await openWebPage('methods', chineseTexts());
  context.after(page.close);
  const seen = [...page.texts()];
  const tell = async (message: ToMethods): Promise<void> => {
    await page.tell(message);
    seen.push(...page.texts());
  };
  const problem = { code: 'x', message: '出错' };
  const rates = [
    { learning_rate: 1, loss: null },
    { learning_rate: 0.001, loss: 1 },
  ];
  const families = ['additive', 'selective', 'low-rank', 'full'];
  const methods = [
    ...families.map((family) => comparedMethod(`甲${family.length}`, 0.1, [1, 1.5], { family, problem, rates })),
    comparedMethod('乙', 0.1, [1], { state: 'running' }),
    comparedMethod('丙', 0.1, [], { state: 'running' }),
    comparedMethod('丁', 0.1, []),
    comparedMethod('戊', 0.1, [], { state: 'failed', problem }),
    comparedMethod('己', 0.1, [], { state: 'left-out', problem }),
    comparedMethod('庚', 0.1, [99]),
    refusedMethod('辛', '没有偏置'),
  ];
  await tell({ type: 'comparison', comparison: comparisonOf([]), running: true });
  await tell({ type: 'comparison', comparison: comparisonOf(methods, { done: 1, of: 3 }), running: true });
  const matched = { to: 'lora', trainable: 5000 };
  await tell({
    type: 'comparison',
    comparison: comparisonOf(methods.slice(0, 4), { matched, metric: 'eval_accuracy', seeds: [1] }),
    running: false,
  });
  await tell({
    type: 'comparison',
    comparison: comparisonOf(methods, { metric: 'eval_token_accuracy' }),
    running: false,
  });
  await tell({ type: 'comparison', comparison: comparisonOf([], { metric: null }), running: false });
  await tell({ type: 'failed', message: '出错了。' });
  assert.ok(seen.some((text) => text.includes('验证集')));
  assert.deepEqual(englishLeft(seen, ['lora', 'sql', 'KiB']), []);
});
