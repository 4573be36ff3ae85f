import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as l10n from '@vscode/l10n';
import { createColumns, followRun } from '../../../../webview/curveColumns.js';
import { picturesOf } from '../../../../webview/curvePictures.js';
import { curvesCsv } from '../../../../webview/curveText.js';
import { chineseTexts } from '../../../support/webPage.mjs';

test('the head of a CSV is the same in Chinese, its curves’ names are not', () => {
  l10n.config({ contents: { ...chineseTexts() } });
  const columns = createColumns();
  const numbers = { epoch: 0, learningRate: 1e-4, gradientNorm: 1, tokens: 10, supervisedTokens: 5, rows: 1 };
  followRun(columns, {
    steps: [1, 2].map((step) => ({ type: 'step', step, loss: 1, seconds: 1, ...numbers })),
    evaluations: [],
  });
  const [loss] = picturesOf([{ id: '', name: '甲', columns }], { axis: 'step', memory: 0.9 });
  assert.ok(loss);
  assert.deepEqual(
    loss.curves.map(({ name }) => name),
    ['训练损失', '训练损失（平滑，EMA 0.9，已去偏）'],
  );
  assert.equal(curvesCsv(loss.curves, 'step', [1, 1]), 'step,loss,loss_ema_0.9\r\n1,1,1\r\n');
});
