import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PANEL_VERSION } from '../../../../src/engines/panelVersion.js';
import type { Finished } from '../../../../src/training/events.js';
import { openWebPage } from '../../../support/webPage.mjs';

test('the end of a run says why it ended', async (context) => {
  const page = await openWebPage('panel', {});
  context.after(page.close);
  const ends = [];
  for (const reason of ['completed', 'early-stopped', 'stopped'] as const) {
    const result: Finished = {
      type: 'finished',
      reason,
      adapter: '/runs/a/adapter',
      metrics: {},
      steps: 4,
      seconds: 70,
      peakMemory: 1,
    };
    const state = { kind: 'finished', file: '/runs/a.peft.yaml', began: 0, ended: 70_000, result };
    await page.tell({
      version: PANEL_VERSION,
      type: 'run',
      about: { state, folder: '/runs/a', canControl: false },
      events: { events: [] },
    });
    ends.push(page.texts('.end')[1]);
  }
  assert.deepEqual(ends, [
    'Finished at step 4, after 1 min 10 s.',
    'Finished early at step 4, after 1 min 10 s: the metric no longer improved.',
    'Stopped on request at step 4, after 1 min 10 s.',
  ]);
});
