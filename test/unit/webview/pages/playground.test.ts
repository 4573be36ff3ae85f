import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setupOf, withAdapter, withAlpha } from '../../../../src/engines/playground/setup.js';
import type { PlaygroundSetup } from '../../../../src/engines/playground/setup.js';
import { GENERATE_DEFAULTS } from '../../../../src/generation/options.js';
import { openWebPage } from '../../../support/webPage.mjs';

test('the factor of a column that steers can be changed; what is no number goes back', async (context) => {
  const page = await openWebPage('playground', {});
  context.after(page.close);
  const show = (setup: PlaygroundSetup): Promise<void> =>
    page.tell({ type: 'setup', setup, defaults: GENERATE_DEFAULTS });
  const plain = withAdapter(setupOf({ model: '/m', label: 'm', key: '/m' }), { folder: '/a', name: 'a' })!;
  await show(plain);
  assert.equal(page.count('.factor input'), 0);
  const steered = withAdapter(plain, { folder: '/b', name: 'b', steering: { model: '/small', alpha: 0.5 } })!;
  await show(steered);
  assert.equal(page.value('.factor input'), '0.5');
  assert.ok(page.texts().includes('α of steered by b (α = 0.5)'));
  const said = () => page.sent.filter((message) => (message as { readonly type: string }).type === 'steer');
  await page.type('.factor input', '');
  await page.type('.factor input', '0.5');
  assert.deepEqual([said(), page.value('.factor input')], [[], '0.5']);
  await page.type('.factor input', '1.5');
  assert.deepEqual(said(), [{ type: 'steer', column: 'B', alpha: 1.5 }]);
  await show(withAlpha(steered, 'B', 1.5)!);
  assert.ok(page.texts('.columns').some((text) => text.includes('α = 1.5')));
  // One that is refused: the setup comes again as it was.
  await page.type('.factor input', '3');
  await show(withAlpha(steered, 'B', 1.5)!);
  assert.equal(page.value('.factor input'), '1.5');
});
