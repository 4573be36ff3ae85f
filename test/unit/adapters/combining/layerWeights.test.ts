import assert from 'node:assert/strict';
import { test } from 'node:test';
import { weightOfSites } from '../../../../src/adapters/combining/layerWeights.js';
import type { Site } from '../../../../src/models/site.js';
import { problem } from '../../../support/adapters.js';
import { fixture } from '../../../support/fixtures.js';
import { openModel } from '../../../support/model.js';

const { model } = await openModel(fixture('lora-reference', 'tiny-llama'));
const at = (path: string): Site => model.sites.find((site) => site.path === path)!;
const Q = (layer: number): Site => at(`model.layers.${layer}.self_attn.q_proj`);

test('modules go before layers, layers before what counts everywhere', () => {
  const weight = weightOfSites(1, { 1: 2, q_proj: 3, 'model\\.layers\\.0\\.mlp\\..*': 4 }, model.sites);
  assert.equal(weight(Q(0)), 3);
  assert.equal(weight(Q(1)), 3);
  assert.equal(weight(at('model.layers.1.mlp.up_proj')), 2);
  assert.equal(weight(at('model.layers.0.mlp.up_proj')), 4);
  assert.equal(weight(at('model.layers.0.self_attn.k_proj')), 1);
  // Outside of the layers.
  assert.equal(weight(at('lm_head')), 1);
});

test('layers in lists and ranges, each once, 0 too', () => {
  const layers: Site[] = Array.from({ length: 24 }, (_, layer) => ({ ...Q(0), layer, path: `h.${layer}.q` }));
  const weight = weightOfSites(1, { '0-3, 8': 0, '5,7 - 7': -2 }, layers);
  const of = layers.map((site) => weight(site));
  assert.deepEqual(of.slice(0, 10), [0, 0, 0, 0, 1, -2, 1, -2, 0, 1]);
  for (const [own, ...told] of [
    [{ '0-3': 1, '3-5': 2 }, 'combine.layer-twice', '3', '0-3', '3-5'],
    [{ '4,4': 1 }, 'combine.layer-twice', '4'],
    [{ '20-24': 1 }, 'combine.layers', '24', '0 to 23'],
    [{ '0-99999999999': 1 }, 'combine.layers', '99999999999'],
    [{ '7-6': 1 }, 'combine.layers', '7-6'],
    [{ q_porj: 1 }, 'targets.idle-pattern', 'q_porj'],
    [{ '-1': 1 }, 'targets.idle-pattern', '-1'],
    [{ '(': 1 }, 'targets.regex', '('],
  ] as const) {
    const [code, ...parts] = told as [string, ...string[]];
    assert.throws(() => weightOfSites(1, own, layers), problem(code, ...parts));
  }
});

test('an encoder-decoder has two layers of a number: modules are named there', async () => {
  const t5 = await openModel(fixture('t5', 'tiny-t5'));
  assert.throws(() => weightOfSites(1, { 0: 1 }, t5.model.sites), problem('combine.two-stacks', 'encoder'));
  const weight = weightOfSites(1, { 'encoder\\.block\\.0\\..*': 5 }, t5.model.sites);
  const found = t5.model.sites.filter((site) => weight(site) === 5);
  assert.ok(found.length > 3 && found.every(({ path }) => path.startsWith('encoder.block.0.')));
});
