import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WAYS } from '../../../../src/engines/combination/form.js';
import type { CombinationForm } from '../../../../src/engines/combination/form.js';
import type { ToCombine } from '../../../../src/host/combineProtocol.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';
import { combinationOf, combinedModule, previewOf } from '../../engines/combination/combinations.js';

test('the page of combined adapters has no English word in Chinese', async (context) => {
  const page = await openWebPage('combine', chineseTexts());
  context.after(page.close);
  const seen = [...page.texts()];
  const tell = async (message: ToCombine): Promise<void> => {
    await page.tell(message);
    seen.push(...page.texts());
  };
  const part = { numbers: 0.2, squares: 0.1 };
  const modules = [
    combinedModule('model.embed_tokens', { layer: null }),
    combinedModule('model.layers.0.q_proj', { error: 0.5, pruned: part, outvoted: part }),
    combinedModule('model.layers.1.v_proj', { rank: 2, pairs: [] }),
  ];
  const found = previewOf(modules, { overlap: 5, warnings: [{ code: 'x', message: '小心' }] });
  const layers = [{ layers: '0-1', weights: {} }];
  await tell(combinationOf(found, {}, { layers }));
  await page.open('details');
  seen.push(...page.texts());
  for (const way of WAYS) await tell(combinationOf(found, {}, { way, keep: 'energy' }));
  const faults: Partial<CombinationForm>[] = [
    { parts: [] },
    { parts: [{ folder: '/a', weight: null }] },
    { layers: [{ layers: '', weights: {} }] },
    { way: 'ties', density: null },
    { keep: 'rank', rank: null },
    { keep: 'energy', energy: null },
    { way: 'dare_ties', seed: null },
  ];
  for (const form of faults) await tell(combinationOf(found, {}, form));
  await tell(combinationOf(found, { kind: 'places' }, { parts: [] }));
  const adapters = [
    { folder: '/a', name: '甲', place: '甲', method: undefined, ranks: undefined, trained: undefined },
  ];
  await tell(combinationOf(found, { base: '', adapters, writing: true }));
  await tell(combinationOf(found, { state: { kind: 'failed', message: '出错了。' } }));
  await tell(combinationOf(found, { state: { kind: 'untrusted' } }));
  await tell(combinationOf(found, { state: { kind: 'computing', activity: '', done: 0, total: 0 } }));
  await tell(combinationOf(found, { state: { kind: 'computing', activity: '相加', done: 1, total: 2 } }));
  assert.ok(seen.some((text) => text.includes('符号相反')));
  const papers = [
    'Zhang',
    'Composing Parameter-Efficient Modules with Arithmetic Operations',
    'Ilharco',
    'Editing Models with Task Arithmetic',
    'Eckart',
    'Young',
    'The Approximation of One Matrix by Another of Lower Rank',
    'Yadav',
    'TIES-Merging',
    'Language Models are Super Mario',
    'Han',
    'Learning both Weights and Connections',
  ];
  const names = [
    'dare_linear',
    'dare_ties',
    'linear',
    'svd',
    'ties',
    'total',
    'frequency',
    'sql',
    'news',
    'tiny',
    'peft-studio combine',
  ];
  assert.deepEqual(englishLeft(seen, [...papers, ...names, '--out=combined']), []);
});
