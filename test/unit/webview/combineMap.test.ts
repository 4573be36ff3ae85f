import assert from 'node:assert/strict';
import { test } from 'node:test';
import { combinationMap } from '../../../webview/combineMap.js';
import type { HeatRange } from '../../../webview/heatMapColors.js';
import { combinedModule, previewOf } from '../engines/combination/combinations.js';

const MODULES = [
  combinedModule('model.embed_tokens', { layer: null, norm: 7 }),
  combinedModule('model.layers.0.q_proj', { norm: 3 }),
  combinedModule('model.layers.0.v_proj', { norm: 4 }),
  combinedModule('model.layers.1.q_proj', { norm: 6, pairs: [] }),
];
const WORDS = { title: 'Norm', format: String, formatShort: String };

test('a row of whole layers stands above those of the modules; what is beside the layers is listed', () => {
  const { data, others } = combinationMap(previewOf(MODULES), { kind: 'norm' }, WORDS);
  assert.deepEqual(data.columns, ['0', '1']);
  assert.deepEqual(
    data.rows.map(({ name, cells }) => [name, ...cells.map((cell) => cell?.value)]),
    [
      ['whole layer', 5, 6],
      ['q_proj', 3, 6],
      ['v_proj', 4, undefined],
    ],
  );
  assert.equal(data.rows[2]?.cells[1], undefined, 'no such module');
  assert.equal(data.rows[1]?.cells[0]?.label, 'q_proj, layer 0: Norm 3');
  assert.equal(data.rows[0]?.cells[1]?.label, 'layer 1, whole: Norm 6');
  assert.deepEqual(data.range, { smallest: 3, largest: 6 });
  assert.deepEqual(others, [{ path: 'model.embed_tokens', text: '7' }]);
});

test('shares have the colours of 0 to 1 whatever they are, cosines of −1 to 1; a module without a pair has none', () => {
  const shared = combinationMap(previewOf(MODULES), { kind: 'shared' }, WORDS).data;
  assert.deepEqual([shared.range, shared.middle], [{ smallest: 0, largest: 1 }, undefined]);
  const cosine = combinationMap(previewOf(MODULES), { kind: 'cosine' }, WORDS).data;
  assert.deepEqual([cosine.range, cosine.middle], [{ smallest: 0, largest: 1 }, 0]);
  assert.equal(cosine.rows[1]?.cells[1]?.label, 'q_proj, layer 1: Norm –');
});

test('shares of opposed signs lie on both sides of chance, and their colours reach as far as they do', () => {
  const at = (signConflicts: number): HeatRange =>
    combinationMap(
      previewOf([{ ...MODULES[1]!, pairs: [{ ...MODULES[1]!.pairs[0]!, signConflicts }] }]),
      { kind: 'signs' },
      WORDS,
    ).data.range;
  assert.deepEqual(at(0.3), { smallest: 0, largest: 0.3 });
  assert.deepEqual(at(0.875), { smallest: 0, largest: 0.125 });
  assert.deepEqual(at(0.49), { smallest: 0, largest: 0.45 }, 'noise is no strong colour');
});

test('of one kind of module the whole layer would be that module again', () => {
  const q = MODULES.filter(({ path }) => path.endsWith('q_proj'));
  const { data } = combinationMap(previewOf(q), { kind: 'norm' }, WORDS);
  assert.deepEqual(
    data.rows.map(({ name }) => name),
    ['q_proj'],
  );
});
