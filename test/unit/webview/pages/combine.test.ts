import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FromCombine, ToCombine } from '../../../../src/host/combineProtocol.js';
import { openWebPage } from '../../../support/webPage.mjs';
import { combinationOf, combinedModule, previewOf } from '../../engines/combination/combinations.js';

const MODULES = [combinedModule('model.layers.0.q_proj'), combinedModule('model.layers.1.q_proj', { error: 0.5 })];

test('the page of combined adapters: weights, the way and its options, the preview, what is wrong', async (context) => {
  const page = await openWebPage('combine', {});
  context.after(page.close);
  const tell = (message: ToCombine): Promise<void> => page.tell(message);
  const sent = page.sent as readonly FromCombine[];
  const changed = (): Extract<FromCombine, { type: 'change' }> => {
    const last = sent.at(-1);
    assert.ok(last?.type === 'change');
    return last;
  };
  const status = (): string => page.texts('.summary').join('');

  await tell(combinationOf(undefined, { state: { kind: 'computing', activity: '', done: 0, total: 0 } }));
  assert.equal(status(), 'Computing…');
  assert.ok(page.hidden('.results'));
  assert.ok(page.texts('.parts').includes('lora · r 2–4 · 8,192 numbers'));

  await tell(combinationOf(previewOf(MODULES)));
  assert.deepEqual(sent.at(-1), { type: 'drawn', number: 1, modules: 2 });
  assert.equal(status(), '160 numbers · r 4 · lost 37.8 % · signs opposed in 62.5 % (50 % is chance)');
  assert.ok(page.texts('.results').includes('30.0 % (10.0 % is chance)'));
  assert.ok(page.texts('[role=grid]').includes('q_proj, layer 1: Norm of the result 5.000'));

  // A weight, by the field and by the slider; one that is no number keeps what is there, dimmed.
  await page.type('.part:nth-child(2) .number-field', '-0.5');
  assert.deepEqual(changed().form.parts[1], { folder: '/b', weight: -0.5 });
  assert.equal(page.value('.part:nth-child(2) [type=range]'), '-0.5');
  await page.type('.part:nth-child(2) [type=range]', '0.5');
  assert.deepEqual([changed().number, changed().form.parts[1]?.weight], [2, 0.5]);
  // What the editor says of a form before the last change does not undo it.
  await tell(combinationOf(previewOf(MODULES), { seen: 1 }));
  assert.equal(page.value('.part:nth-child(2) .number-field'), '0.5');
  await page.type('.part:nth-child(2) .number-field', '');
  await tell(combinationOf(previewOf(MODULES), { seen: changed().number, form: changed().form }));
  assert.equal(status(), 'The weight of news is no number.');
  assert.equal(page.count('.results.stale'), 1);
  assert.equal(page.count('.buttons vscode-button[disabled]'), 1, 'Write');
  await page.type('.part:nth-child(2) .number-field', '1');

  // Other weights in some layers, which an adapter that has none there has from its own.
  await page.click('.layer-weights > vscode-button');
  await page.type('.layers-field', '0-1');
  await page.type('.layers-weights label:nth-child(2) input', '0');
  assert.deepEqual(changed().form.layers, [{ layers: '0-1', weights: { '/b': 0 } }]);
  await page.click('.layers .remove');
  assert.deepEqual(changed().form.layers, []);

  // Only options that the way reads.
  const { form, number } = changed();
  await tell(combinationOf(previewOf(MODULES), { seen: number, form: { ...form, way: 'dare_linear' } }));
  assert.ok(page.texts('.combine-form').some((text) => text.startsWith('Of each update numbers are dropped')));
  assert.equal(page.count('a[href="https://arxiv.org/abs/2311.03099"]'), 1);
  const shown = (): number => page.count('.combine-option:not([hidden])');
  assert.equal(shown(), 4, 'density, seed, what is kept, as PEFT');
  await tell(combinationOf(previewOf(MODULES), { seen: number, form: { ...form, way: 'svd' } }));
  assert.equal(shown(), 1, 'what is kept');
  assert.equal(page.texts('.command')[0], 'peft-studio combine runs/a runs/b --out=combined');

  await tell(
    combinationOf(previewOf(MODULES), { seen: number, state: { kind: 'failed', message: 'Ranks differ.' } }),
  );
  assert.deepEqual(page.texts('[role=alert]'), ['It could not be computed: Ranks differ.']);
  assert.ok(page.hidden('.summary'));
  assert.equal(page.count('.results.stale'), 1);
  assert.equal(page.count('.buttons vscode-button[disabled]'), 1, 'Write');
  await page.click('.trouble vscode-button');
  assert.deepEqual(sent.at(-1), { type: 'again' });

  // Of adapters that are no factors there is nothing but weights.
  await tell(combinationOf(previewOf(MODULES, { overlap: 7 }), { seen: number, kind: 'places' }));
  assert.ok(page.hidden('.combine-option'));
  await page.click('.part:nth-child(1) .remove');
  assert.deepEqual(
    changed().form.parts.map(({ folder }) => folder),
    ['/b'],
  );
  assert.equal(page.count('.part'), 1);
  await tell(combinationOf(undefined, { seen: changed().number, form: changed().form, kind: 'places' }));
  assert.equal(status(), 'Add adapters until 2 have a weight other than 0.');
});
