// Methods that prepare measure gradients where the others start: a start is the same whenever it is asked for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { attachMethods } from '../../../src/engines/session.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';

const { context } = await openModel(fixture('lora-reference', 'tiny-llama'));

for (const method of [
  '{ type: lora }',
  '{ type: adalora }',
  '{ type: relora }',
  '{ type: cola }',
  '{ type: dora_rank }',
  '{ type: sora }',
  '{ type: dylora }',
  '{ type: prompt_tuning }',
  '{ type: prompt_tuning, prompt_tuning_init: SAMPLE_VOCAB }',
  '{ type: prefix_tuning }',
  '{ type: prefix_tuning, prefix_projection: true }',
  '{ type: ia3, init_ia3_weights: false }',
  '{ type: melora }',
  '{ type: mora }',
  '{ type: adapter }',
  '{ type: ciat }',
  '{ type: adapter_fusion }',
  '{ type: intrinsic }',
]) {
  test(`${method} starts at the same numbers whenever it is asked`, async () => {
    const { config, problems } = parseRunFile(`model: m\ndata: { train: a }\nmethod: ${method}\n`, 'a.peft.yaml');
    assert.ok(config, problems.map(({ message }) => message).join());
    const [{ trainables }] = attachMethods(config.method, context) as [ReturnType<typeof attachMethods>[0]];
    const first = new Map(
      [...(await startValues(trainables))].map(([name, values]) => [name, Float32Array.from(values)]),
    );
    assert.deepEqual(await startValues(trainables), first);
  });
}
