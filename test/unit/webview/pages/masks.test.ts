import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MaskReport } from '../../../../src/engines/masks/maskReport.js';
import { PANEL_VERSION } from '../../../../src/engines/panelVersion.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';

const PATHS = ['model.layers.0.q_proj', 'model.layers.1.q_proj'];
const overlap = { one: 30, other: 40, shared: 10, expectedShared: 12, size: 100 };
const REPORT: MaskReport = {
  masks: ['/运行/甲', '/运行/乙'].map((folder, at) => ({
    folder,
    method: at === 0 ? 'fish_mask' : 'pafi',
    base: '/模型',
    marked: at === 0 ? 30 : 40,
    size: 100,
    layers: [],
    kinds: [],
  })),
  pairs: [
    {
      one: 0,
      other: 1,
      total: overlap,
      layers: [
        { name: 'model.layers.0', ...overlap },
        { name: '', one: 0, other: 0, shared: 0, expectedShared: 0, size: 7 },
      ],
      kinds: [{ name: 'q_proj', ...overlap }],
    },
  ],
};

interface Request {
  readonly type: 'request';
  readonly id: number;
  readonly name: string;
  readonly params: object;
}

const isRequest = (message: unknown): message is Request =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'request';

test('Masks: shares by layer and kind; another mask is chosen, and how much the two overlap is told', async (context) => {
  const page = await openWebPage('panel', chineseTexts());
  context.after(page.close);
  const last = (name: string): Request => page.sent.filter(isRequest).findLast((each) => each.name === name)!;
  const answer = (name: string, reply: object): Promise<void> =>
    page.tell({ version: PANEL_VERSION, id: last(name).id, ...reply });
  const masks = {
    type: 'masks',
    step: 1,
    sites: PATHS.map((path, at) => ({ path, density: at / 2, shape: [4, 5] })),
  };
  const about = { state: { kind: 'idle' }, folder: '/运行/甲', canControl: false };
  await page.tell({ version: PANEL_VERSION, type: 'run', about, events: { events: [masks] } });
  await page.click('#tab-masks');
  await page.open('#view-masks .heat-table');
  const seen = [...page.texts()];
  const rows = page.texts('#view-masks');
  const at = rows.indexOf('model.layers.1');
  assert.deepEqual(rows.slice(at, at + 4), ['model.layers.1', '10', '20', '50.0 %']);

  await page.click('.mask-compare vscode-button');
  await answer('listRuns', { type: 'reply', value: [{ folder: '/运行/乙', name: '乙', modified: 0 }] });
  seen.push(...page.texts());
  await page.click('.mask-compare .choices vscode-button');
  assert.deepEqual(last('compareMasks').params, {});
  await answer('compareMasks', { type: 'reply', value: { report: REPORT } });
  seen.push(...page.texts());
  const told = page.texts('.mask-compare');
  assert.ok(told.includes('0.167'), 'Jaccard 10 / 60');
  assert.ok(told.includes('0.207'), 'at random 12 / 58');
  const row = told.indexOf('model.layers.0');
  assert.deepEqual(told.slice(row, row + 6), ['model.layers.0', '30', '40', '10', '0.167', '0.207']);
  assert.ok(!told.includes('各层之外'), 'neither has a number there');

  // Cancelled by the user: nothing is shown, and nothing said.
  await page.click('.mask-compare .choices vscode-button');
  await answer('compareMasks', { type: 'reply', value: {} });
  assert.equal(page.hidden('.mask-compare .tiles'), true);
  await page.click('.mask-compare .choices vscode-button');
  const problem = { code: 'masks.none', message: '没有掩码', mend: '请另选。' };
  await answer('compareMasks', { type: 'refused', problem });
  seen.push(...page.texts());
  assert.ok(page.texts('.mask-compare').some((text) => text.includes('没有掩码')));
  assert.deepEqual(englishLeft(seen, ['q_proj', 'fish_mask', 'pafi']), []);
});
