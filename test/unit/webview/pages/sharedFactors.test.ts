import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PANEL_VERSION } from '../../../../src/engines/panelVersion.js';
import { openWebPage } from '../../../support/webPage.mjs';

const PATHS = [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`);

/** What the page says in a tab, of a run whose coverage has these shared factors. */
async function told(
  shared: readonly object[],
  close: (end: () => void) => void,
): Promise<Record<'coverage' | 'ranks', readonly string[]>> {
  const page = await openWebPage('panel', {});
  close(page.close);
  const coverage = {
    type: 'coverage',
    targets: [{ entry: 'q_proj', matched: 3 }],
    modules: PATHS.map((path) => ({ path, shape: [8, 8], trainable: 4 })),
    shared,
    layersCovered: 3,
    layers: 3,
    trainable: 12,
    total: 1000,
    saves: 'files',
    warnings: [],
  };
  const ranks = { type: 'ranks', step: 0, sites: PATHS.map((path) => ({ path, rank: 2, scale: 1, norm: 0 })) };
  const about = { state: { kind: 'idle' }, folder: '/run', canControl: false };
  await page.tell({ version: PANEL_VERSION, type: 'run', about, events: { events: [coverage, ranks] } });
  await page.click('#tab-coverage');
  const seen = [...page.texts('#view-coverage')];
  await page.click('#tab-ranks');
  return { coverage: seen, ranks: [...page.texts('#view-ranks')] };
}

test('coverage and ranks say which layers have factors in common', async (context) => {
  const found = await told(
    [
      { name: 'model.layers.*.self_attn.q_proj (L, R)', paths: PATHS },
      { name: 'lm_head (L, R)', paths: ['lm_head'] },
    ],
    (end) => context.after(end),
  );
  for (const texts of [found.coverage, found.ranks]) {
    for (const wanted of [
      'Shared factors',
      'model.layers.*.self_attn.q_proj (L, R): of 3 modules (layers), self_attn.q_proj (0–2)',
      'lm_head (L, R): of one module, lm_head',
    ]) {
      assert.ok(texts.includes(wanted), `${wanted} in ${texts.join(' | ')}`);
    }
  }
});
