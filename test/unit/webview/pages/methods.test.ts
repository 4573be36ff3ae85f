import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ToMethods } from '../../../../src/host/methodsProtocol.js';
import { openWebPage } from '../../../support/webPage.mjs';
import { comparedMethod, comparisonOf, refusedMethod } from '../../engines/compareMethods/comparisons.js';

test('the page of compared methods: grows, sorts, opens a run, saves its numbers and picture', async (context) => {
  const page = await openWebPage('methods', {});
  context.after(page.close);
  const methods = [
    refusedMethod('bitfit', 'no biases'),
    comparedMethod('full', 1, [0.4, 0.5], { family: 'full' }),
    comparedMethod('lora', 0.05, [0.6, 0.7]),
    comparedMethod('ia3', 0.001, [], { family: 'additive' }),
  ];
  const tell = (message: ToMethods): Promise<void> => page.tell(message);
  const names = (): readonly string[] =>
    page.texts('.methods-table tbody').filter((text) => /^[a-z0-9]{3,6}$/.test(text));

  await tell({ type: 'comparison', comparison: comparisonOf(methods, { done: 4, of: 6 }), running: true });
  assert.ok(page.texts().includes('Running: 4 of 6 runs have ended.'));
  assert.deepEqual(names(), ['full', 'full', 'lora', 'bitfit', 'ia3']);
  assert.ok(page.texts().some((text) => text === 'bitfit was not run: no biases'));
  assert.equal(page.count('.methods-picture polygon, .methods-picture circle'), 4, 'two methods and the legend');
  assert.ok(!page.hidden('vscode-button:nth-of-type(2)'), 'Stop');

  await page.click('[data-sort="name"]');
  assert.deepEqual(
    names().filter((name, at, all) => name !== all[at - 1]),
    ['bitfit', 'full', 'ia3', 'lora'],
  );
  assert.equal(page.count('th[aria-sort="ascending"] [data-sort="name"]'), 1);
  await page.click('[data-sort="name"]');
  assert.equal(page.count('th[aria-sort="descending"] [data-sort="name"]'), 1);
  await page.click('[data-sort="trainable"]');
  await page.click('[data-sort="trainable"]');
  const turned = names().filter((name, at, all) => name !== all[at - 1]);
  assert.deepEqual(turned, ['full', 'lora', 'ia3', 'bitfit'], 'what has no value stays last');

  await page.click('.open-run');
  assert.deepEqual(page.sent.at(-1), { type: 'openPanel', folder: '/out/runs/full-seed-1' });
  await page.click('vscode-button:nth-of-type(3)');
  await page.click('vscode-button:nth-of-type(4)');
  const saved = page.sent.slice(-2) as { type: string; name: string; text: string }[];
  assert.deepEqual(
    saved.map(({ type, name }) => [type, name]),
    [
      ['save', 'sql-methods.csv'],
      ['save', 'sql-methods.svg'],
    ],
  );
  assert.match(saved[0]!.text, /^method,family,/);
  assert.match(saved[1]!.text, /^<svg /);

  await tell({ type: 'comparison', comparison: comparisonOf(methods, { done: 5, of: 6 }), running: false });
  assert.ok(page.texts().includes('Stopped after 5 of 6 runs.'));
  await page.click('vscode-button:nth-of-type(1)');
  assert.deepEqual(page.sent.at(-1), { type: 'goOn' });
  await tell({ type: 'failed', message: 'It cannot be read.' });
  assert.ok(page.texts('[role=alert]').includes('It cannot be read.'));
});
