import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ShownMixture } from '../../../../src/host/composeProtocol.js';
import type { HubRecord } from '../../../../src/engines/composition/record.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';
import { recordOf } from '../../engines/composition/records.js';

test('a search for a mixture has no English word in Chinese', async (context) => {
  const page = await openWebPage('compose', chineseTexts());
  context.after(page.close);
  const seen = [...page.texts()];
  const tell = async (mixture: ShownMixture): Promise<void> => {
    await page.tell({ type: 'mixture', mixture, writing: false });
    await page.open('details');
    seen.push(...page.texts());
  };
  const wanted = { adapters: ['/甲', '/乙'], data: '/行.jsonl', budget: 40 };
  const own: Partial<HubRecord> = {
    adapters: ['甲', '乙'].map((name) => ({ folder: `/${name}`, weight: 0.5 })),
    data: ['/行.jsonl'],
    seconds: 90,
  };
  const trials = [
    [[0, 0], 2],
    [[0.5, 0], 1.9],
    [[0.5, -0.5], null],
    [[0.5, 0.5], 1.5],
  ] as const;
  const measured = { loss: 1.6, tokenAccuracy: 0.5 };
  const heldOut = (base: number, alone: number, average: number): HubRecord['heldOut'] => ({
    data: ['/验.jsonl'],
    rows: 40,
    base: { ...measured, loss: base },
    alone: { ...measured, loss: alone, adapter: 0 },
    average: { ...measured, loss: average },
    mixture: measured,
  });
  await tell({ wanted, state: { kind: 'running', activity: '' } });
  await tell({ wanted, search: recordOf(trials, own), state: { kind: 'running', activity: '' } });
  for (const state of [{ kind: 'stopped' }, { kind: 'ended' }, { kind: 'failed', message: '出错了。' }] as const) {
    for (const out of [{}, { out: '/出' }]) {
      await tell({ wanted, state });
      await tell({ wanted, state, ...out, search: recordOf(trials, own) });
    }
  }
  for (const change of [
    { budget: 1000 },
    { adapters: ['甲', '乙'].map((name) => ({ folder: `/${name}`, weight: 1 })) },
    { rows: 1, compared: { average: 1, alone: [1, null] } },
    { heldOut: heldOut(2, 2, 2) },
    { heldOut: heldOut(1, 2, 2) },
    { heldOut: heldOut(2, 1, 2) },
    { heldOut: heldOut(2, 2, 1) },
  ]) {
    await tell({ state: { kind: 'ended' }, search: recordOf(trials, { ...own, ...change }) });
  }
  await tell({ state: { kind: 'ended' }, search: recordOf(trials.slice(0, 1), own) });
  await tell({ state: { kind: 'ended' }, search: recordOf([[[0, 0], null]], own) });
  assert.ok(seen.some((text) => text.includes('混合')));
  assert.deepEqual(englishLeft(seen, ['jsonl', 'CSV']), []);
});
