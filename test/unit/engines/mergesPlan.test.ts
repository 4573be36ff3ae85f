// ReLoRA and COLA are planned as in their last cycle, with everything that they will have merged.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { estimateRun } from '../../../src/engines/estimate.js';
import type { Estimate } from '../../../src/engines/estimate.js';
import { attachMethods, openModel, parameterCount } from '../../../src/engines/session.js';
import { afterMerges } from '../../../src/methods/restartedLora.js';
import { fixedSize } from '../../../src/tensor/dims.js';

const { checkpoint, model, context } = await openModel('examples/base-model/peft-studio-tiny', 1);
const FLOAT = 4;
/** Numbers of A and B of rank 1 at all linears but the head. */
const SIDES = 12_160;

function estimate(section: string, known: { steps?: number; max?: number } = {}): Estimate {
  const training = known.max === undefined ? '' : `training: { max_steps: ${known.max} }\n`;
  const text = `model: m\ndata: { train: a.jsonl, validation: b.jsonl }\nmethod: ${section}\n${training}`;
  const { config, problems } = parseRunFile(text, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  const attached = attachMethods(config.method, context);
  const methods = config.method.map((each, at) => ({ config: each, attached: attached[at] }));
  const batch = { rows: 8, length: 100, supervised: 80 };
  const steps = known.steps === undefined ? {} : { steps: known.steps };
  return estimateRun({ checkpoint, model, parameters: parameterCount(model) }, methods, config, {
    batch,
    ...steps,
  });
}

function trained({ plan }: Estimate): number {
  return plan.parts.filter(({ name }) => name === 'adapter').reduce((sum, { bytes }) => sum + bytes, 0);
}

test('merged updates are counted once, what trains twice, and the adapter with all ranks', () => {
  const one = estimate('{ type: lora, r: 4 }');
  const chain = estimate('{ type: cola, r: 4, chain_length: 4 }');
  assert.equal(trained(chain) - trained(one), 3 * 4 * SIDES * FLOAT);
  assert.equal(chain.plan.trainable, 4 * SIDES);
  assert.deepEqual(chain.results, [{ method: 'cola', what: 'adapter', bytes: 16 * SIDES * FLOAT }]);
  assert.match(chain.plan.assumptions.join('\n'), /cola is counted as after its last merge: 3 merged updates lie/);
  const alone = estimate('{ type: cola, r: 4, chain_length: 1 }');
  assert.equal(trained(alone), trained(one));
  assert.doesNotMatch(alone.plan.assumptions.join('\n'), /merged/);
});

test('how often ReLoRA merges follows from the steps, of the file or of the data', () => {
  const merged = (known: Parameters<typeof estimate>[1]): number =>
    (trained(estimate('{ type: relora, r: 2, relora: 10 }', known)) - trained(estimate('{ type: lora, r: 2 }'))) /
    (2 * SIDES * FLOAT);
  assert.deepEqual([merged({ max: 31 }), merged({ steps: 20 }), merged({ steps: 21 })], [3, 1, 2]);
  assert.match(estimate('{ type: relora, r: 2 }').plan.assumptions.join('\n'), /3 merged updates/);
});

test('what is merged is never larger than the weights, nor is the adapter of it larger than it has to be', () => {
  const large = estimate('{ type: relora, r: 128, lora_dropout: 0 }');
  const sites = model.sites.filter(({ kind, isOutput }) => kind === 'linear' && isOutput !== true);
  const sizes = sites.map(({ shape }) => shape[0]! * shape[1]!);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  assert.equal(trained(large) - trained(estimate('{ type: lora, r: 128 }')), sum(sizes) * FLOAT);
  const onDisk = sum(sites.map(({ shape }) => Math.min(shape[0]!, shape[1]!) * (shape[0]! + shape[1]!)));
  assert.equal(large.results[0]!.bytes, onDisk * FLOAT);
  const [method] = attachMethods(
    parseRunFile('model: m\ndata: { train: a }\nmethod: { type: relora }\n', 'a.peft.yaml').config!.method,
    context,
    [afterMerges(3)],
  );
  const values = new Map(
    method!.trainables.map(({ variable: { name, shape } }) => [name, new Float32Array(fixedSize(shape))]),
  );
  const saved = method!.save(values);
  assert.ok(saved.kind === 'adapter');
  assert.equal(sum(saved.tensors.map(({ data }) => data.length)), onDisk);
});

test('in a list the merged updates are beside those of other methods', () => {
  const both = estimate('[{ type: lora, r: 2 }, { type: cola, r: 4, chain_length: 2 }]');
  const plain = estimate('[{ type: lora, r: 2 }, { type: cola, r: 4, chain_length: 1 }]');
  assert.equal(trained(both) - trained(plain), 4 * SIDES * FLOAT);
});
