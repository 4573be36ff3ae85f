import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { attachMethods, checkMethods } from '../../../src/engines/session.js';
import { LastLayersOptions } from '../../../src/methods/lastLayers.js';
import { PaFiOptions } from '../../../src/methods/pafi.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { prepare, referenceBatches, steps } from '../../support/sparse.js';
import { loraMethod } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const reference = JSON.parse(await readFile(fixture('pafi/steps.json'), 'utf8')) as {
  keep_ratio: number;
  learning_rate: number;
  losses: number[];
  indices: Record<string, number[]>;
  values: Record<string, number[]>;
};

function pafi(options: Partial<PaFiOptions> = {}): MethodConfig {
  return Value.Parse(PaFiOptions, { type: 'pafi', ...options });
}

const config = pafi({ keep_ratio: reference.keep_ratio });
// Without a row: the mask is taken from the weights alone.
const prepared = await prepare([config], opened, []);
const [method] = attachMethods([config], opened.context, prepared);
const trained = await steps(opened, method!, await referenceBatches(), reference.learning_rate);

test('the places are those of torch.topk, index for index, and twelve steps are those of PyTorch', () => {
  const places = [...prepared[0]!].filter(([name]) => !name.startsWith('#'));
  const found = Object.fromEntries(places.map(([name, at]) => [name.replace(/\.indices$/, ''), [...at]]));
  assert.deepEqual(found, reference.indices);
  for (const [at, loss] of reference.losses.entries()) {
    assert.ok(Math.abs(trained.losses[at]! - loss) <= 1e-4, `loss ${at + 1}: ${trained.losses[at]} for ${loss}`);
  }
  for (const [name, values] of Object.entries(reference.values)) {
    assert.ok(largestDifference(trained.values.get(`${name}.values`)!, values) <= 1e-3, name);
  }
});

test('int(keep_ratio · N) numbers train, none of them larger than one that stays', async () => {
  const linear = opened.model.sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);
  let [total, kept, largestKept, smallestLeft] = [0, 0, 0, Infinity];
  for (const { weight } of linear) {
    const places = new Set(reference.indices[weight!]);
    (await opened.context.read(weight!)).forEach((value, at) => {
      total++;
      if (places.has(at)) largestKept = Math.max(largestKept, Math.abs(value));
      else smallestLeft = Math.min(smallestLeft, Math.abs(value));
    });
    kept += places.size;
  }
  assert.equal(kept, Math.floor(reference.keep_ratio * total));
  assert.ok(largestKept <= smallestLeft);
  assert.equal(
    method!.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
    kept,
  );
});

test('the base is unchanged at the start; saved, loaded and merged it does the same', async () => {
  const rows = [[3, 5, 9, 2, 40, 77]];
  const start = new Map([...trained.values].map(([name, { length }]) => [name, new Float32Array(length)]));
  assert.deepEqual(await logitsOf(opened, rows, { method: method!, values: start }), await logitsOf(opened, rows));
  const out = path.join(folder, 'adapter');
  const saved = method!.save(trained.values);
  assert.ok(saved.kind === 'adapter');
  assert.equal(saved.config['peft_type'], 'PAFI');
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const again = await attachAdapter(opened, out);
  assert.deepEqual(again.warnings, []);
  const applied = await logitsOf(opened, rows, again);
  assert.deepEqual(applied, await logitsOf(opened, rows, { method: method!, values: trained.values }));
  assert.ok(largestDifference(applied, await logitsOf(opened, rows)) > 1e-2);
  const found = await inspectAdapter(out);
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.base], ['pafi', 'tiny-llama']);
  const report = await mergeAdapter({ ...opened, ...again, tokenizer, out: path.join(folder, 'merged') });
  assert.ok(report.verifiedDifference <= 1e-5, String(report.verifiedDifference));
});

test('beside last layers that train whole it chooses in the layers below, in either order', async () => {
  const last = Value.Parse(LastLayersOptions, { type: 'last_layers', num_layers: 1 });
  const below = pafi({ keep_ratio: 0.1, layers_to_transform: [0] });
  for (const configs of [
    [last, below],
    [below, last],
  ]) {
    checkMethods(configs, opened.context);
    const methods = attachMethods(configs, opened.context, await prepare(configs, opened, []));
    const own = methods[configs.indexOf(below)]!;
    assert.ok(own.coverage.modules.length > 0);
    assert.ok(own.coverage.modules.every(({ path: at }) => at.startsWith('model.layers.0.')));
  }
  assert.throws(() => checkMethods([last, pafi()], opened.context), problem('method.combination', 'last_layers'));
});

test('what cannot be is refused before a weight is read', () => {
  const check = (...configs: MethodConfig[]) => checkMethods(configs, opened.context);
  assert.throws(() => check(pafi({ keep_ratio: 1e-9 })), problem('sparse-delta.nothing', '1e-9'));
  assert.throws(() => check({ type: 'full' }, pafi()), problem('method.combination', 'pafi', 'full'));
  check(loraMethod({ r: 4 }), pafi());
  assert.throws(() => attachMethods([pafi()], opened.context), problem('method.not-prepared', 'PaFi'));
});
