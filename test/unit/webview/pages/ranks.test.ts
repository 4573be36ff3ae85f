import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PANEL_VERSION } from '../../../../src/engines/panelVersion.js';
import type { RunEvent } from '../../../../src/training/events.js';
import { openWebPage } from '../../../support/webPage.mjs';

const PATHS = [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj`);

function ranks(step: number, first: number, second: number): RunEvent {
  return {
    type: 'ranks',
    step,
    sites: [first, second].map((rank, at) => ({ path: PATHS[at]!, rank, scale: 2, norm: 1 })),
  };
}

function byRank(step: number, ...losses: number[]): RunEvent {
  const quality = losses.map((loss, at) => ({ rank: at + 1, loss, tokenAccuracy: 0.5, rowAccuracy: 0 }));
  return { type: 'rank-evaluation', step, ranks: quality };
}

test('Ranks: the sum of ranks is a curve where they change, and the loss by rank where a run tells it', async (context) => {
  const page = await openWebPage('panel', {});
  context.after(page.close);
  /** What is shown below the map. */
  const told = async (...events: RunEvent[]): Promise<{ sum: boolean; loss: boolean; text: string }> => {
    const about = { state: { kind: 'idle' }, folder: `/run-${JSON.stringify(events)}`, canControl: false };
    await page.tell({ version: PANEL_VERSION, type: 'run', about, events: { events } });
    await page.click('#tab-ranks');
    return {
      sum: !page.hidden('.rank-sum'),
      loss: !page.hidden('.rank-loss'),
      text: page.texts('#view-ranks').join('\n'),
    };
  };
  const same = await told(ranks(0, 4, 4), ranks(5, 4, 4));
  assert.deepEqual([same.sum, same.loss], [false, false]);
  // SoRA: no budget says what the sum is to become.
  const falling = await told(ranks(0, 4, 4), ranks(5, 4, 1));
  assert.deepEqual([falling.sum, falling.loss], [true, false]);
  assert.doesNotMatch(falling.text, /budget/i);
  // DyLoRA.
  const nested = await told(ranks(0, 2, 2), byRank(0, 3.25, 3.25), byRank(5, 2.5, 2.125));
  assert.deepEqual([nested.sum, nested.loss], [false, true]);
  assert.match(nested.text, /after step 5/);
  assert.match(nested.text, /after step 0/);
});
