import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { estimateRun } from '../../../src/engines/estimate.js';
import type { Estimate, KnownOfRun } from '../../../src/engines/estimate.js';
import { attachMethods, openModel, parameterCount } from '../../../src/engines/session.js';

const BUNDLED = 'examples/base-model/peft-studio-tiny';
const { checkpoint, model, context } = await openModel(BUNDLED, 1);

function estimate(section: string, cache: boolean, known: KnownOfRun = {}): Estimate {
  const text = `model: m\ndata: { train: a.jsonl, validation: b.jsonl }\nmethod: ${section}\ntraining: { cache_frozen_layers: ${cache} }\n`;
  const { config, problems } = parseRunFile(text, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  const attached = attachMethods(config.method, context);
  const methods = config.method.map((each, at) => ({ config: each, attached: attached[at] }));
  return estimateRun({ checkpoint, model, parameters: parameterCount(model) }, methods, config, known);
}

function bytes({ plan }: Estimate, name: string): number {
  return plan.parts.filter((part) => part.name === name).reduce((sum, part) => sum + part.bytes, 0);
}

const LAST = '{ type: last_layers }';
const BATCH = { rows: 8, length: 100, supervised: 80 };

test('where the outputs of frozen layers are kept, the layers are not in the plan, and what is kept is', () => {
  const plain = estimate(LAST, false, { batch: BATCH });
  const kept = estimate(LAST, true, {
    batch: BATCH,
    frozen: { layer: 4, tokens: 5000, bytes: 5000 * 128 * 4, inMemory: true },
  });
  const layer = 196_992 - 128;
  assert.equal(bytes(plain, 'weights') - bytes(kept, 'weights'), 4 * 4 * layer);
  const filed = estimate(LAST, true, {
    batch: BATCH,
    frozen: { layer: 4, tokens: 5000, bytes: 5000 * 128 * 4, inMemory: false },
  });
  assert.equal(bytes(kept, 'activations') - bytes(filed, 'activations'), 5000 * 128 * 4);
  assert.deepEqual(filed.plan.assumptions, plain.plan.assumptions);
});

test('of rows that nobody counted it is said what a token takes; what keeps nothing is planned as it is', () => {
  const unknown = estimate(LAST, true);
  assert.match(unknown.plan.assumptions.join(), /first 4 layers .* come on top: 512 B for each token/);
  assert.ok(unknown.plan.total < estimate(LAST, false).plan.total);
  const full = estimate('{ type: full }', true);
  assert.deepEqual(full.plan, estimate('{ type: full }', false).plan);
  const none = estimate(LAST, true, { batch: BATCH, frozen: { reason: 'no row comes twice' } });
  assert.deepEqual(none.plan, estimate(LAST, false, { batch: BATCH }).plan);
});
