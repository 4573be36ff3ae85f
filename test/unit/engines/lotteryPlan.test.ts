import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { estimateRun } from '../../../src/engines/estimate.js';
import type { Estimate } from '../../../src/engines/estimate.js';
import { attachMethods, openModel, parameterCount } from '../../../src/engines/session.js';
import { preparesFor } from '../../../src/methods/registry.js';

const { checkpoint, model, context } = await openModel('examples/base-model/peft-studio-tiny', 1);
/** Numbers of all linear weights but the head's. */
const TARGETED = 983_040;

function estimate(section: string): Estimate {
  const text = `model: m\ndata: { train: a.jsonl, validation: b.jsonl }\nmethod: ${section}\n`;
  const { config, problems } = parseRunFile(text, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  const attached = config.method.some(preparesFor) ? [] : attachMethods(config.method, context);
  const methods = config.method.map((each, at) => ({ config: each, attached: attached[at] }));
  const batch = { rows: 8, length: 100, supervised: 80 };
  return estimateRun({ checkpoint, model, parameters: parameterCount(model) }, methods, config, { batch });
}

test('LT-SFT is planned as its first phase, which is the larger one, and that is said', () => {
  const { plan, results } = estimate('{ type: lt_sft, ft_params_proportion: 0.02 }');
  const optimizer = plan.parts
    .filter(({ name }) => name === 'optimizer')
    .reduce((sum, { bytes }) => sum + bytes, 0);
  // Two moments of float32, in two buffers.
  assert.ok(optimizer >= 2 * 2 * 4 * TARGETED, String(optimizer));
  assert.match(plan.assumptions.join('\n'), /lt_sft is counted as it begins, with all targeted weights/);
  assert.deepEqual(results, [{ method: 'lt_sft', what: 'adapter', bytes: Math.floor(0.02 * TARGETED) * 8 }]);
  assert.doesNotMatch(estimate('{ type: full }').plan.assumptions.join('\n'), /counted as it begins/);
});

test('FISH-DIP is planned with the larger of its two shares', () => {
  const [later, first] = ['subsequent_keep_ratio: 0.2', 'subsequent_keep_ratio: 0.001'].map((rest) =>
    estimate(`{ type: fish_dip, keep_ratio: 0.01, ${rest} }`),
  ) as [Estimate, Estimate];
  assert.equal(later.plan.trainable, Math.floor(0.2 * TARGETED));
  assert.equal(first.plan.trainable, Math.floor(0.01 * TARGETED));
});
