import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PANEL_VERSION } from '../../../../src/engines/panelVersion.js';
import type { Masks, RunEvent, Started } from '../../../../src/training/events.js';
import { openWebPage } from '../../../support/webPage.mjs';

const SITE = 'model.layers.0.self_attn.q_proj';
const STATE = { kind: 'running', file: '/runs/a.peft.yaml', began: 0 };

test('masks say what they are of: numbers that train, weights that are on, or masks of one step', async (context) => {
  const page = await openWebPage('panel', {});
  context.after(page.close);
  const shown = async (method: string, site: Masks['sites'][number]): Promise<readonly string[]> => {
    const started: Started = {
      type: 'started',
      version: '0',
      config: '/runs/a.peft.yaml',
      method,
      model: '/models/a',
      engine: 'embedded',
      folder: `/runs/${method}`,
      seed: 1,
      totalSteps: 4,
      time: '2026-01-01T00:00:00Z',
    };
    const events: RunEvent[] = [started, { type: 'masks', step: 0, sites: [site] }];
    await page.tell({
      version: PANEL_VERSION,
      type: 'run',
      about: { state: STATE, folder: started.folder, canControl: false },
      events: { events },
    });
    await page.click('#tab-masks');
    return page.texts();
  };
  const holds = (texts: readonly string[], ...wanted: readonly string[]): void => {
    for (const each of wanted)
      assert.ok(
        texts.some((text) => text.includes(each)),
        `${each}: ${texts.join(' | ')}`,
      );
  };
  const half = { path: SITE, density: 0.5, shape: [4, 4] };
  holds(
    await shown('fish_mask', half),
    'Numbers that train',
    'the others stay as they are',
    'share that trains 50.0 %',
  );
  const learned = await shown('learned_mask', half);
  holds(learned, 'Weights that are on', 'the others count as zero', 'share that is on 50.0 %');
  await shown('full + child_tuning', { path: SITE, density: 0.3 });
  await page.click('[role=gridcell][aria-label]');
  holds(page.texts(), `${SITE}: its mask is drawn anew at each step, there is none to open.`);
  await shown('lisa', { path: SITE, density: 1 });
  await page.click('[role=gridcell][aria-label]');
  holds(page.texts(), 'all of its numbers train or rest together');
});
