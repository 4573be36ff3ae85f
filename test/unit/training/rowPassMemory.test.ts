import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowPassMemory } from '../../../src/training/rowPassMemory.js';
import type { RowPass } from '../../../src/training/rowPassMemory.js';
import type { PreparationMemory } from '../../../src/training/stepMemory.js';
import { runSession } from '../../../src/training/stepMemory.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';

const { model } = await openModel(fixture('lora-reference', 'tiny-llama'));
const sites = model.sites.filter(({ kind, layer }) => kind === 'linear' && layer !== undefined);
const linear = sites.map((site) => site.weight!);
const numbers = sites.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);

function planned(sums: RowPass['sums'], weights = linear): PreparationMemory[] {
  return rowPassMemory(model, [], { weights, sums }, { positionLimit: 64, most: 4 });
}

/** What a pass takes beside its sums, with rows of 32 tokens. */
function touched({ rows, session }: PreparationMemory): number {
  return runSession(session, { preparation: { rows, length: 32, supervised: 8 * rows } }).touched;
}

test('rows go through at once as in the passes, and a sum is kept for each number', () => {
  for (const fisher of ['empirical', 'expected'] as const) {
    const [only, ...others] = planned([fisher]);
    assert.deepEqual([others.length, only!.rows, only!.sums], [0, 4, 4 * numbers]);
  }
  const apart = planned(['empirical'], [...linear, 'model.norm.weight']);
  assert.deepEqual(
    apart.map(({ rows, sums }) => [rows, sums]),
    [4, 1].map((rows) => [rows, 4 * (numbers + 32)]),
  );
});

test('with Hessian-vector products a row takes more, and the gradients are still there', () => {
  const [first, second] = planned(['gradients', 'hessian']);
  assert.deepEqual([first!.rows, second!.rows], [4, 1]);
  assert.deepEqual([first!.sums, second!.sums], [4 * numbers, 8 * numbers]);
  assert.ok(touched(second!) > (1.5 * touched(first!)) / 4);
});
