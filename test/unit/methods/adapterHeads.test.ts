// Adapters, fusions and CIAT on a model that tells classes apart: the head is saved with them and read again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { adapterTask } from '../../../src/adapters/adapterTask.js';
import { attachAdapter } from '../../../src/adapters/attachAdapter.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { attachMethods } from '../../../src/engines/session.js';
import { AdapterFusionOptions } from '../../../src/methods/adapterFusion.js';
import { AdapterOptions } from '../../../src/methods/bottleneckAdapter.js';
import { CiatOptions } from '../../../src/methods/ciat.js';
import { LoraOptions } from '../../../src/methods/lora.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import { randomValues } from './fakeModel.js';

const folder = temporaryFolder();
const ROWS = [[5, 6, 7, 8]];

for (const config of [
  Value.Parse(AdapterOptions, { type: 'adapter' }),
  Value.Parse(CiatOptions, { type: 'ciat' }),
  // Of one adapter: the folder of the fusion is the adapter's.
  Value.Parse(AdapterFusionOptions, { type: 'adapter_fusion' }),
]) {
  test(`${config.type}: the head of a classifier goes with it`, async () => {
    const opened = await openModel(fixture('encoders/tiny-bert-classes'), { type: 'SEQ_CLS' });
    const [method] = attachMethods([config], opened.context);
    // A fusion is in its second stage.
    method!.beforeStep?.({ step: 2, totalSteps: 2 });
    const values = new Map(
      [...randomValues(method!)].map(([name, data]) => [name, data.map((each) => 0.3 * each)]),
    );
    const saved = method!.save(values);
    assert.ok(saved.kind === 'adapter');
    const out = `${folder}/${config.type}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const adapter = await readAdapter(out);
    assert.deepEqual(adapterTask(adapter), { type: 'SEQ_CLS', labels: ['joy', 'rain', 'sand'], classCount: 3 });
    assert.deepEqual((await inspectAdapter(out)).problems, []);
    const loaded = await attachAdapter(adapter, opened.context);
    const expected = await logitsOf(opened, ROWS, { method: method!, values });
    assert.equal(largestDifference(await logitsOf(opened, ROWS, loaded), expected), 0);
    assert.ok(largestDifference(await logitsOf(opened, ROWS), expected) > 1e-3);
  });
}

test('targets that are the head alone leave nothing to adapt, which is said', async () => {
  const { context } = await openModel(fixture('encoders/tiny-bert-classes'), { type: 'SEQ_CLS' });
  const config = Value.Parse(LoraOptions, { type: 'lora', target_modules: ['classifier'] });
  assert.throws(() => attachMethods([config], context), problem('targets.no-match', 'classifier'));
});
