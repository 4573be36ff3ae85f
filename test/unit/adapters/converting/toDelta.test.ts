import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toDelta } from '../../../../src/adapters/converting/toDelta.js';
import type { Tuned } from '../../../../src/adapters/converting/toLora.js';
import { problem } from '../../../support/adapters.js';
import { fixture } from '../../../support/fixtures.js';
import { openModel } from '../../../support/model.js';

const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
const only =
  (paths: readonly string[], change: (value: number, at: number) => number): Tuned =>
  (site, kind, base) =>
    Promise.resolve(kind === 'weight' && paths.includes(site.path) ? base.map(change) : undefined);
const EMBEDDING = 'model.embed_tokens';

describe('what training changed, as a delta', () => {
  test('is dense or sparse by what is smaller, under the name in the base', async () => {
    const few = await toDelta(
      only(['model.layers.0.mlp.up_proj'], (value, at) => (at % 5 === 0 ? value + 1 : value)),
      tied.context,
    );
    const [sparse] = few.report;
    assert.deepEqual([sparse?.kind, sparse?.name], ['sparse', 'model.layers.0.mlp.up_proj.weight']);
    assert.equal(sparse?.numbers, Math.ceil(sparse!.of / 5));
    assert.ok(Math.abs(sparse!.norm - Math.sqrt(sparse!.numbers)) < 1e-3);
    const many = await toDelta(
      only(['model.layers.0.mlp.up_proj'], (value) => value + 1),
      tied.context,
    );
    assert.equal(many.report[0]?.kind, 'dense');
    assert.notEqual(many.about.baseHash, '');
  });

  test('of a matrix that two modules share is that of both, or refused', async () => {
    const both = await toDelta(
      only([EMBEDDING, 'lm_head'], (value) => value + 1),
      tied.context,
    );
    assert.deepEqual(
      both.report.map(({ name }) => name),
      [`${EMBEDDING}.weight`],
    );
    for (const path of [EMBEDDING, 'lm_head']) {
      await assert.rejects(
        toDelta(
          only([path], (value) => value + 1),
          tied.context,
        ),
        problem('convert.delta-tied', 'lm_head', '--to lora'),
      );
    }
    await assert.rejects(
      toDelta(
        only([], (value) => value),
        tied.context,
      ),
      problem('convert.delta-nothing'),
    );
  });
});
