// Starts that are taken off the base are planned with what taking weights apart needs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { estimateRun } from '../../../src/engines/estimate.js';
import { attachMethods, openModel, parameterCount } from '../../../src/engines/session.js';
import type { Moment } from '../../../src/memory/plan.js';

const { checkpoint, model, context } = await openModel('examples/base-model/peft-studio-tiny', 1);
const DOUBLE = 8;

function preparing(section: string): readonly Moment[] {
  const text = `model: m\ndata: { train: a.jsonl }\nmethod: ${section}\n`;
  const { config, problems } = parseRunFile(text, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  const attached = attachMethods(config.method, context);
  const methods = config.method.map((each, at) => ({ config: each, attached: attached[at] }));
  const batch = { rows: 1, length: 16, supervised: 8 };
  const header = { checkpoint, model, parameters: parameterCount(model) };
  const { plan } = estimateRun(header, methods, config, { batch });
  return plan.moments.filter(({ name }) => name === 'preparing');
}

const bytesOf = (moments: readonly Moment[], part: string): number =>
  moments
    .flatMap(({ parts }) => parts.filter(({ name }) => name === part))
    .reduce((sum, { bytes }) => sum + bytes, 0);

test('PiSSA: the starts, the largest weight in double precision with its transpose and two Gram matrices, and older ones', () => {
  const found = preparing('{ type: lora, r: 4, init_lora_weights: pissa, target_modules: [q_proj, down_proj] }');
  assert.equal(found.length, 1);
  // q_proj [128, 128] and down_proj [128, 384], five layers.
  const [square, wide, gram] = [128 * 128, 128 * 384, 2 * 128 * 128];
  assert.equal(bytesOf(found, 'adapter'), 5 * 4 * 4 * (128 + 128 + 128 + 384));
  const all = DOUBLE * 5 * (square + gram + (2 * wide + gram));
  assert.equal(bytesOf(found, 'workspace'), all);
  assert.match(
    found[0]!.parts.find(({ name }) => name === 'workspace')!.formula,
    /: 1 MiB, and up to 5\.9 MiB of those before/,
  );
});

test('random projection and OLoRA need other matrices; of older ones there are at most 64 MiB', () => {
  const work = (init: string, target: string): number =>
    bytesOf(
      preparing(`{ type: lora, r: 4, init_lora_weights: ${init}, target_modules: [${target}] }`),
      'workspace',
    );
  const wide = 128 * 384;
  assert.equal(work('pissa_niter_4', 'down_proj'), 5 * (DOUBLE * wide + 4 * wide));
  assert.equal(work('olora', 'down_proj'), 5 * (2 * DOUBLE * wide + 16 * 4 * 128));
  const head = 2048 * 128;
  assert.equal(work('olora', 'lm_head'), 2 * DOUBLE * head + 16 * 4 * 2048);
});

test('what starts from nothing of the base prepares nothing, nor does an embedding', () => {
  assert.deepEqual(preparing('{ type: lora, r: 4, init_lora_weights: orthogonal }'), []);
  assert.deepEqual(
    preparing('{ type: lora, r: 4, init_lora_weights: pissa, target_modules: [embed_tokens] }'),
    [],
  );
});
