import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { AdaLoraOptions, adalora } from '../../../src/methods/adalora.js';
import { DoraRankOptions, doraRank } from '../../../src/methods/doraRank.js';
import { loraConfigFromPeft } from '../../../src/methods/loraConfig.js';
import { LotrOptions, lotr } from '../../../src/methods/lotr.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { attachLora, fakeContext, site } from './fakeModel.js';

const context = fakeContext([
  site('linear', 'model.layers.0.q_proj', [16, 12]),
  site('linear', 'model.layers.0.v_proj', [6, 12]),
]);
const TARGETS = { target_modules: ['q_proj', 'v_proj'] };

const attachedWith: Readonly<Record<string, (r: number, context: AttachContext) => Attached>> = {
  lora: (r, where) => attachLora({ r, ...TARGETS }, where),
  adalora: (r, where) =>
    adalora.attach(Value.Parse(AdaLoraOptions, { type: 'adalora', init_r: r, target_r: 1, ...TARGETS }), where),
  dora_rank: (r, where) =>
    doraRank.attach(Value.Parse(DoraRankOptions, { type: 'dora_rank', r, start_rank: r, ...TARGETS }), where),
  lotr: (r, where) => lotr.attach(Value.Parse(LotrOptions, { type: 'lotr', r, ...TARGETS }), where),
};

for (const [name, attach] of Object.entries(attachedWith)) {
  test(`${name}: a rank above the smaller side of a matrix is told with the module and its size`, () => {
    const told = (r: number, where = context): string[] =>
      attach(r, where).coverage.warnings.flatMap(({ code, message, mend }) =>
        code === 'method.large-rank' ? [`${message} ${mend}`] : [],
      );
    assert.deepEqual(told(6), []);
    const [one] = told(7);
    assert.match(one!, /rank 7 .* model\.layers\.0\.v_proj \[6, 12\] .* 6 Lower it to at most 6/);
    const [both] = told(13);
    assert.match(both!, /rank 13 .* 2 modules .* model\.layers\.0\.q_proj \[16, 12\]; the smallest side is 6/);
    // A sum of adapters on disk has such ranks, and nothing can be mended there.
    assert.deepEqual(told(13, { ...context, idlePatterns: 'warning' }), []);
  });
}

test('an adapter of a rank above 4096 is read as it was written: combining adds ranks up', () => {
  const { options } = loraConfigFromPeft({ peft_type: 'LORA', r: 5000, target_modules: ['q_proj'] }, 'here');
  assert.equal(options.r, 5000);
});
